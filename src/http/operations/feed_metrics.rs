//! The metrics of feeds.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::app::Annals;
use crate::feeds::FeedStatus;
use crate::http::Problem;

/// Adds the metrics of the application's feeds, if it has any.
pub(super) async fn register(annals: &Annals, registry: &mut Registry) -> Result<(), Problem> {
    let feeds = annals.feeds().await?;
    if !feeds.is_empty() {
        registry.register_collector(Box::new(FeedMetrics { feeds, now: Timestamp::now() }));
    }
    Ok(())
}

#[derive(Debug)]
struct FeedMetrics {
    feeds: Vec<FeedStatus>,
    now: Timestamp,
}

/// The value of a metric of a feed.
type OfFeed = fn(&FeedStatus, Timestamp) -> f64;

const OF_FEEDS: [(&str, &str, OfFeed); 6] = [
    ("feed_lag_events", "Events of the log that the feed has not passed, whether or not they match", |one, _| {
        one.lag as f64
    }),
    ("feed_position", "The position up to which all that matches is confirmed", |one, _| one.position as f64),
    ("feed_last_sent_position", "The position of the last event that was confirmed", |one, _| one.last_sent as f64),
    ("feed_failing_seconds", "How long the feed cannot send. 0 if it can", |one, now| {
        let since = one.problem.as_ref().map_or(now, |problem| problem.since);
        now.duration_since(since).as_secs_f64().max(0.0)
    }),
    ("feed_stopped", "1 if the feed has stopped and needs an operator, else 0", |one, _| {
        f64::from(u8::from(one.problem.as_ref().is_some_and(|problem| problem.stopped)))
    }),
    ("feed_paused", "1 if the feed is paused, else 0", |one, _| f64::from(u8::from(one.paused.is_some()))),
];

impl Collector for FeedMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in OF_FEEDS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for one in &self.feeds {
                let labels = [("feed", one.name.as_str())];
                ConstGauge::new(value(one, self.now)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Attempts of this process to send that failed";
        let mut family = encoder.encode_descriptor("feed_failures", help, None, MetricType::Counter)?;
        self.feeds.iter().try_for_each(|one| {
            let labels = [("feed", one.name.as_str())];
            ConstCounter::new(one.failures).encode(family.encode_family(&labels)?)
        })
    }
}
