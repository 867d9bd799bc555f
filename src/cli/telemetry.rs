//! What `serve` does, told to a collector of OpenTelemetry: spans, by OTLP over HTTP.

use std::time::Duration;

use clap::ArgMatches;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;

use super::logs::Beside;
use crate::BoxError;

/// The flag of `serve`, as clap knows it.
pub(super) const FLAG: &str = "otlp_endpoint";

/// Where a collector takes traces in, below its address.
const TRACES: &str = "/v1/traces";

/// How long a collector may take to hear the last of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Spans are on their way to a collector. A thread of its own sends them, from a queue with an end: a collector that does
/// not answer misses something, and holds nobody up.
pub(super) struct Telemetry(SdkTracerProvider);

impl Telemetry {
    /// To the collector that the flag or OpenTelemetry's own variables name; none: nothing is sent.
    ///
    /// # Errors
    /// When what they say is not spoken here.
    pub(super) fn of(matches: &ArgMatches, application: &'static str) -> Result<Option<Self>, BoxError> {
        let Some(("serve", matches)) = matches.subcommand() else { return Ok(None) };
        let Some(endpoint) = endpoint(matches.get_one::<String>(FLAG).map(String::as_str)) else { return Ok(None) };
        if !endpoint.starts_with("http://") {
            return Err(format!(
                "`{endpoint}` is no address that spans are sent to: name a collector that takes OTLP over HTTP, like \
                 http://127.0.0.1:4318, without TLS"
            )
            .into());
        }
        let protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| said("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            return Err(format!("OTLP is not spoken as `{other}` here: leave it to http/protobuf").into());
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
        let exporter = exporter.with_endpoint(endpoint).build()?;
        let named = said("OTEL_SERVICE_NAME").is_some()
            || said("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|attributes| attributes.contains("service.name="));
        let resource = match named {
            true => Resource::builder(),
            false => Resource::builder().with_service_name(application),
        };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Some(Self(provider.build())))
    }

    /// What listens to spans.
    pub(super) fn layer(&self) -> Beside {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("annals"));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_filter(LevelFilter::INFO).boxed()
    }

    /// Sends what is not sent yet.
    pub(super) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans may not have reached the collector"),
            Err(error) => tracing::warn!(%error, "the last spans may not have reached the collector"),
        }
    }
}

/// Where spans go: the flag comes first, then the variable for traces, which is a whole address, then the one for all.
fn endpoint(flag: Option<&str>) -> Option<String> {
    let off = said("OTEL_SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true"))
        || said("OTEL_TRACES_EXPORTER").is_some_and(|said| said == "none");
    let below = |base: &str| format!("{}{TRACES}", base.trim_end_matches('/'));
    match flag {
        Some(base) => Some(below(base)),
        None if off => None,
        None => said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
            .or_else(|| said("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| below(&base))),
    }
}

/// What a variable says; an empty one says nothing.
fn said(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}
