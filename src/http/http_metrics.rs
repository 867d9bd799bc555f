//! [`HttpMetrics`]: request and stream counters, for Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// The labels of a request. The route is the declared pattern, so that their number is bounded.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct StreamLabels {
    protocol: &'static str,
}

/// Counters of requests and open streams.
pub(super) struct HttpMetrics {
    pub requests: Family<RequestLabels, Counter>,
    pub durations: Histogram,
    pub streams: Family<StreamLabels, Gauge>,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            durations: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            streams: Family::default(),
        }
    }
}

impl HttpMetrics {
    /// Counts a request whose response has begun.
    pub fn responded(&self, method: &str, route: &str, status: u16, duration: Duration) {
        // A client can send any word as a method.
        let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
        let labels = RequestLabels { method: known.unwrap_or("other"), route: route.to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.observe(duration.as_secs_f64());
    }

    /// Counts a stream of this protocol (`sse`, `websocket`) as open until the guard is dropped.
    pub fn open_stream(&self, protocol: &'static str) -> OpenStream {
        let gauge = self.streams.get_or_create_owned(&StreamLabels { protocol });
        gauge.inc();
        OpenStream(gauge)
    }
}

/// A stream that is counted as open until this is dropped.
pub(super) struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
