//! The export of the spans of `serve` to an OpenTelemetry collector, by OTLP over HTTP.

use std::time::Duration;

use clap::ArgMatches;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;

use super::logs::SpanLayer;
use crate::BoxError;

/// The id of the option of `serve`.
pub(super) const FLAG: &str = "otlp_endpoint";

/// The path of traces below the address of a collector.
const TRACES: &str = "/v1/traces";

/// How long the program waits at its end for the last spans.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running export of spans. A thread sends them from a bounded queue: if the collector does not answer, spans are dropped
/// and requests are not delayed.
pub(super) struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// Starts the export to the collector that the option or OpenTelemetry's variables name. Returns `None` if there is none.
    ///
    /// # Errors
    /// When the address or the protocol is not supported.
    pub(super) fn from_arguments(
        matches: &ArgMatches,
        application: &'static str,
    ) -> Result<Option<Self>, BoxError> {
        let Some(("serve", matches)) = matches.subcommand() else { return Ok(None) };
        let Some(endpoint) = endpoint(matches.get_one::<String>(FLAG).map(String::as_str)) else { return Ok(None) };
        if !endpoint.starts_with("http://") {
            return Err(format!(
                "cannot send spans to `{endpoint}`: only OTLP over HTTP without TLS is supported, like \
                 http://127.0.0.1:4318"
            )
            .into());
        }
        let protocol =
            variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(format!(
                "the OTLP protocol `{other}` is not supported: set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"
            )
            .into());
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = exporter.with_endpoint(endpoint).build()?;
        let named = variable("OTEL_SERVICE_NAME").is_some()
            || variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
        let resource = match named {
            true => Resource::builder(),
            false => Resource::builder().with_service_name(application),
        };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// The layer that receives spans.
    pub(super) fn layer(&self) -> SpanLayer {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("annals"));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_filter(LevelFilter::INFO).boxed()
    }

    /// Sends the remaining spans and ends the export.
    pub(super) async fn shut_down(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans may not have reached the collector"),
            Err(error) => tracing::warn!(%error, "the last spans may not have reached the collector"),
        }
    }
}

/// The address for spans: from the option, else the variable for traces (a whole URL), else the variable for all signals.
fn endpoint(flag: Option<&str>) -> Option<String> {
    let off = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    let below = |base: &str| format!("{}{TRACES}", base.trim_end_matches('/'));
    match flag {
        Some(base) => Some(below(base)),
        None if off => None,
        None => variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base))),
    }
}

/// The value of a variable, unless it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
