//! The latency of commands.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of latencies: one microsecond to ten minutes, three significant digits.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// The highest latency of the histogram in microseconds.
const LONGEST: u64 = 600_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that hdrhistogram takes"))
    }
}

impl Latencies {
    /// Records a latency.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.clamp(1, LONGEST));
    }

    /// Adds the latencies of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Number of latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// A quantile of the latencies in milliseconds.
    #[must_use]
    pub fn quantile(&self, part: f64) -> f64 {
        self.0.value_at_quantile(part) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_that_was_merged() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        (1..=50).for_each(|time| one.record(Duration::from_millis(time)));
        (51..=100).for_each(|time| other.record(Duration::from_millis(time)));
        one.merge(&other);
        assert_eq!(one.count(), 100);
        assert!((one.quantile(0.5) - 50.0).abs() < 0.1, "{}", one.quantile(0.5));
        assert!((one.quantile(0.99) - 99.0).abs() < 0.1, "{}", one.quantile(0.99));
    }
}
