//! [`Traffic`]: requests and followers, counted.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Which requests are counted together. A route is the address as it is declared: there are only so many.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::http) struct Kind {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::http) struct By {
    protocol: &'static str,
}

/// What comes and goes.
pub(in crate::http) struct Traffic {
    pub requests: Family<Kind, Counter>,
    pub durations: Histogram,
    pub followers: Family<By, Gauge>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            followers: Family::default(),
        }
    }
}

impl Traffic {
    /// A request was answered; a stream was begun.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        // A method may be any word that a client makes up.
        let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
        let kind = Kind { method: known.unwrap_or("other"), route: route.to_owned(), status };
        self.requests.get_or_create(&kind).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a follower by this protocol (`sse`, `websocket`) for as long as the answer is kept.
    pub fn follower(&self, protocol: &'static str) -> Follower {
        let gauge = self.followers.get_or_create_owned(&By { protocol });
        gauge.inc();
        Follower(gauge)
    }
}

/// Somebody who follows: counted until this is gone.
pub(in crate::http) struct Follower(Gauge);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.dec();
    }
}
