//! The process's own numbers, for Prometheus: `/metrics`. What is in the log is counted at `/metrics/{topic}`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::State;
use axum::http::{HeaderName, header};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::app::Annals;
use crate::http::{Asker, Problem, Shared};
use crate::projections::ProjectionStatus;
use crate::store::Histogram;

/// OpenMetrics, which Prometheus reads.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All numbers, as they are now.
pub(super) async fn numbers(
    State(shared): State<Shared>,
    asker: Asker,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    asker.operate("numbers", None).await?;
    let annals = shared.annals().clone();
    let projections = standings(&annals).await?;
    let head = annals.store().head().await?.position;
    let mut registry = Registry::with_prefix("annals");
    let traffic = shared.traffic();
    registry.register("http_requests", "Requests answered", traffic.requests.clone());
    let help = "How long it took until an answer began";
    registry.register_with_unit("http_request_duration", help, Unit::Seconds, traffic.durations.clone());
    registry.register("followers", "Streams that are open", traffic.followers.clone());
    registry.register_collector(Box::new(Numbers { annals, projections, head }));
    let mut out = String::new();
    text::encode(&mut out, &registry).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], out))
}

/// How a projection stands, and since when what it has not taken in waits, in seconds.
async fn standings(annals: &Annals) -> Result<Vec<(ProjectionStatus, f64)>, Problem> {
    let all = annals.projections().await?;
    let mut next: Vec<u64> = all.iter().filter(|one| one.lag > 0).map(|one| one.position + 1).collect();
    next.sort_unstable();
    next.dedup();
    let waiting = annals.store().read_at(&next).await?;
    let now = Timestamp::now();
    let seconds = |one: &ProjectionStatus| {
        let first = waiting.iter().find(|event| one.lag > 0 && event.position == one.position + 1);
        first.map_or(0.0, |event| now.duration_since(event.recorded_at).as_secs_f64().max(0.0))
    };
    Ok(all.into_iter().map(|one| (seconds(&one), one)).map(|(seconds, one)| (one, seconds)).collect())
}

/// What the write path and the projections have to say.
struct Numbers {
    annals: Annals,
    projections: Vec<(ProjectionStatus, f64)>,
    head: u64,
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Collector for Numbers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let write_metrics = self.annals.write_metrics();
        let seconds = Some(&Unit::Seconds);
        histogram(
            &mut encoder,
            "append_duration",
            "How long the store took to append a batch",
            seconds,
            &write_metrics.appends,
        )?;
        histogram(
            &mut encoder,
            "append_batch_commits",
            "How many commits a batch had",
            None,
            &write_metrics.batches,
        )?;
        for (name, help, counter) in [
            ("commands_executed", "Commands executed, and answered with a receipt", &write_metrics.executed),
            ("commands_refused", "Commands refused or denied", &write_metrics.refused),
            ("commands_failed", "Commands that failed", &write_metrics.failed),
            ("conflicts", "Decisions that another writer overtook", &write_metrics.conflicts),
            ("state_cache_hits", "Decisions on a state in memory", &write_metrics.hits),
            ("state_cache_misses", "Decisions on a state that had to be loaded", &write_metrics.misses),
        ] {
            count(&mut encoder, name, help, counter)?;
        }
        let head = ConstGauge::new(i64::try_from(self.head).unwrap_or(i64::MAX));
        head.encode(encoder.encode_descriptor("log_position", "The head of the log", None, MetricType::Gauge)?)?;
        self.of_projections(
            &mut encoder,
            "projection_lag_events",
            "Events that a projection has not taken in",
            |one, _| one.lag as f64,
        )?;
        let help = "How long the oldest event that a projection has not taken in has waited";
        self.of_projections(&mut encoder, "projection_lag_seconds", help, |_, seconds| seconds)?;
        let help = "Whether a projection stopped, and waits for somebody";
        self.of_projections(&mut encoder, "projection_stopped", help, |one, _| {
            f64::from(u8::from(one.is_stopped()))
        })?;
        self.of_projections(
            &mut encoder,
            "projection_dead_letters",
            "Events that a projection left out",
            |one, _| one.dead_letters as f64,
        )
    }
}

impl Numbers {
    fn of_projections(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&ProjectionStatus, f64) -> f64,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        self.projections.iter().try_for_each(|(one, seconds)| {
            let labels = [("projection", one.name.as_str())];
            ConstGauge::new(value(one, *seconds)).encode(family.encode_family(&labels)?)
        })
    }
}

fn count(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, counter: &AtomicU64) -> fmt::Result {
    let counter = ConstCounter::new(counter.load(Relaxed));
    counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn histogram(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    histogram: &Histogram,
) -> fmt::Result {
    let (sum, count, buckets) = histogram.read();
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}
