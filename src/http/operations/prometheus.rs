//! The metrics of the process, for Prometheus: `/metrics`. `/metrics/{topic}` counts the events of the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::State;
use axum::http::{HeaderName, header};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::app::Annals;
use crate::http::{AppState, Caller, Problem};
use crate::projections::ProjectionStatus;
use crate::reactions::ReactionStatus;
use crate::store::{Histogram, StandbyStatus};

/// The OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the current value of all metrics.
pub(super) async fn metrics(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    caller.operate("metrics", None).await?;
    let annals = state.annals().clone();
    let projections = statuses(&annals).await?;
    let reactions = reactions(&annals, &projections).await?;
    let head = annals.store().head().await?.position;
    let standby = annals.store().standby().await?;
    let mut registry = Registry::with_prefix("annals");
    let http = state.metrics();
    registry.register("http_requests", "Requests with a response", http.requests.clone());
    let help = "Time until the response began";
    registry.register_with_unit("http_request_duration", help, Unit::Seconds, http.durations.clone());
    registry.register("streams", "Open streams", http.streams.clone());
    if let Some(stale_for) = state.settings().authentication.stale_for() {
        let help = "How long the key file could not be read or used: the keys are older. 0 if they are current";
        let stale: Gauge<f64, AtomicU64> = Gauge::default();
        stale.set(stale_for.as_secs_f64());
        registry.register_with_unit("keys_stale", help, Unit::Seconds, stale);
    }
    #[cfg(feature = "feeds")]
    super::feed_metrics::register(&annals, &mut registry).await?;
    #[cfg(feature = "feeds")]
    super::intake_metrics::register(&annals, &mut registry).await?;
    registry.register_collector(Box::new(LogMetrics { annals, projections, reactions, head, standby }));
    let mut out = String::new();
    text::encode(&mut out, &registry).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], out))
}

/// The status of each projection, and its lag in seconds: the age of the oldest event that it has not processed.
async fn statuses(annals: &Annals) -> Result<Vec<(ProjectionStatus, f64)>, Problem> {
    let all = annals.projections().await?;
    let mut next: Vec<u64> = all.iter().filter(|one| one.lag > 0).map(|one| one.position + 1).collect();
    next.sort_unstable();
    next.dedup();
    let oldest = annals.store().read_at(&next).await?;
    let now = Timestamp::now();
    let seconds = |one: &ProjectionStatus| {
        let first = oldest.iter().find(|event| one.lag > 0 && event.position == one.position + 1);
        first.map_or(0.0, |event| now.duration_since(event.recorded_at).as_secs_f64().max(0.0))
    };
    Ok(all.into_iter().map(|one| (seconds(&one), one)).map(|(seconds, one)| (one, seconds)).collect())
}

/// The status of each reaction, and the age in seconds of its oldest step that is due.
async fn reactions(
    annals: &Annals,
    projections: &[(ProjectionStatus, f64)],
) -> Result<Vec<(ReactionStatus, f64)>, Problem> {
    if !annals.has_reactions() {
        return Ok(Vec::new());
    }
    let projections: Vec<ProjectionStatus> = projections.iter().map(|(one, _)| one.clone()).collect();
    let all = annals.reactions_of(&projections).await?;
    let now = Timestamp::now();
    let age = |one: &ReactionStatus| one.next_due.map_or(0.0, |due| now.duration_since(due).as_secs_f64().max(0.0));
    Ok(all.into_iter().map(|one| (age(&one), one)).map(|(age, one)| (one, age)).collect())
}

/// The metrics of the write path, of the projections and of the reactions.
struct LogMetrics {
    annals: Annals,
    projections: Vec<(ProjectionStatus, f64)>,
    reactions: Vec<(ReactionStatus, f64)>,
    head: u64,
    standby: Option<StandbyStatus>,
}

impl fmt::Debug for LogMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMetrics").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Collector for LogMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let write_metrics = self.annals.write_metrics();
        let seconds = Some(&Unit::Seconds);
        histogram(&mut encoder, "append_duration", "Time to append a batch", seconds, &write_metrics.appends)?;
        histogram(&mut encoder, "append_batch_commits", "Commits in a batch", None, &write_metrics.batches)?;
        for (name, help, counter) in [
            ("commands_executed", "Commands executed", &write_metrics.executed),
            ("commands_refused", "Commands refused or denied", &write_metrics.refused),
            ("commands_failed", "Commands that failed", &write_metrics.failed),
            ("conflicts", "Commands retried because of a concurrent write", &write_metrics.conflicts),
            ("state_cache_hits", "Aggregates found in the state cache", &write_metrics.hits),
            ("state_cache_misses", "Aggregates loaded from the store", &write_metrics.misses),
        ] {
            count(&mut encoder, name, help, counter)?;
        }
        gauge(&mut encoder, "log_position", "Position of the last event in the log", self.head)?;
        if let Some(standby) = &self.standby {
            let help = "1 if the standby that is read answers, else 0: then the primary is read";
            gauge(&mut encoder, "standby_up", help, u64::from(standby.position.is_some()))?;
            let help = "Events that the standby that is read has not received";
            standby.lag.map(|lag| gauge(&mut encoder, "standby_lag_events", help, lag)).transpose()?;
        }
        self.of_projections(
            &mut encoder,
            "projection_lag_events",
            "Events that the projection has not processed",
            |one, _| one.lag as f64,
        )?;
        let help = "Age of the oldest event that the projection has not processed";
        self.of_projections(&mut encoder, "projection_lag_seconds", help, |_, seconds| seconds)?;
        let help = "1 if the projection has stopped and needs an operator, else 0";
        self.of_projections(&mut encoder, "projection_stopped", help, |one, _| {
            f64::from(u8::from(one.is_stopped()))
        })?;
        self.of_projections(
            &mut encoder,
            "projection_dead_letters",
            "Events that the projection skipped",
            |one, _| one.dead_letters as f64,
        )?;
        self.all_of_reactions(&mut encoder)
    }
}

impl LogMetrics {
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

/// The value of a metric of a reaction, from its status and the age of its oldest step that is due.
type OfReaction = fn(&ReactionStatus, f64) -> f64;

/// The metrics of each reaction. Its lag is that of its projection.
const OF_REACTIONS: [(&str, &str, OfReaction); 6] = [
    ("reaction_pending_steps", "Commands that the reaction is to execute at once, at most 100000", |one, _| {
        one.pending as f64
    }),
    ("reaction_timers", "Timers that are set, at most 100000", |one, _| one.timers as f64),
    ("reaction_oldest_due_seconds", "How long the oldest step waits that is due. 0 if none is", |_, age| age),
    (
        "reaction_blocked_aggregates",
        "Aggregates whose next step fails and is tried again, at most 100",
        |one, _| one.blocked.len() as f64,
    ),
    ("reaction_parked_aggregates", "Aggregates that the reaction ignores since an error, at most 100", |one, _| {
        one.parked.len() as f64
    }),
    (
        "reaction_superseded",
        "1 if a newer version was started, so that this program does not react, else 0",
        |one, _| f64::from(u8::from(one.superseded.is_some())),
    ),
];

impl LogMetrics {
    fn all_of_reactions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.reactions.is_empty() {
            return Ok(());
        }
        for (name, help, value) in OF_REACTIONS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (one, age) in &self.reactions {
                let labels = [("reaction", one.name.as_str())];
                ConstGauge::new(value(one, *age)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Attempts of this process to do a step that failed";
        let mut family = encoder.encode_descriptor("reaction_failures", help, None, MetricType::Counter)?;
        self.reactions.iter().try_for_each(|(one, _)| {
            let labels = [("reaction", one.name.as_str())];
            ConstCounter::new(one.failures).encode(family.encode_family(&labels)?)
        })
    }
}

fn count(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, counter: &AtomicU64) -> fmt::Result {
    let counter = ConstCounter::new(counter.load(Relaxed));
    counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    value.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
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
