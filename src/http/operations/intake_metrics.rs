//! The metrics of intakes.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::app::Annals;
use crate::http::Problem;
use crate::intakes::IntakeStatus;

/// Adds the metrics of the application's intakes, if it has any.
pub(super) async fn register(annals: &Annals, registry: &mut Registry) -> Result<(), Problem> {
    let intakes = annals.intakes().await?;
    if !intakes.is_empty() {
        registry.register_collector(Box::new(IntakeMetrics { intakes, now: Timestamp::now() }));
    }
    Ok(())
}

#[derive(Debug)]
struct IntakeMetrics {
    intakes: Vec<IntakeStatus>,
    now: Timestamp,
}

/// The value of a metric of an intake.
type OfIntake = fn(&IntakeStatus, Timestamp) -> f64;

const GAUGES: [(&str, &str, OfIntake); 6] = [
    (
        "intake_backlog_messages",
        "Messages at the broker that are not settled. 0 before the first count",
        |one, _| one.backlog.unwrap_or_default() as f64,
    ),
    ("intake_in_hand_messages", "Messages that this process has received and not settled", |one, _| {
        one.in_hand as f64
    }),
    (
        "intake_dead_letters",
        "Messages of the whole log without an outcome, less those that were replayed",
        |one, _| one.dead_letters as f64,
    ),
    ("intake_refused", "Messages of the whole log whose commands were refused", |one, _| one.refused as f64),
    ("intake_failing_seconds", "How long the intake does not receive or execute all. 0 if it does", |one, now| {
        let since = one.problem.as_ref().map_or(now, |problem| problem.since);
        now.duration_since(since).as_secs_f64().max(0.0)
    }),
    ("intake_paused", "1 if the intake is paused, else 0", |one, _| f64::from(u8::from(one.paused.is_some()))),
];

/// The value of a counter of an intake.
type CountOfIntake = fn(&IntakeStatus) -> u64;

const COUNTERS: [(&str, &str, CountOfIntake); 3] = [
    ("intake_received", "Messages that this process received", |one| one.received),
    ("intake_repeats", "Messages that this process received and that had an outcome already", |one| one.repeats),
    ("intake_failures", "Attempts of this process to receive or to execute that failed", |one| one.failures),
];

impl Collector for IntakeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for one in &self.intakes {
                let labels = [("intake", one.name.as_str())];
                ConstGauge::new(value(one, self.now)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for one in &self.intakes {
                let labels = [("intake", one.name.as_str())];
                ConstCounter::new(value(one)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
