//! The time that each command took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Times in a histogram: a microsecond to ten minutes, three digits.
#[derive(Debug)]
pub struct Latencies(Histogram<u64>);

/// The longest time that is told apart from longer ones, in microseconds.
const LONGEST: u64 = 600_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds that hdrhistogram takes"))
    }
}

impl Latencies {
    /// Takes in one.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.clamp(1, LONGEST));
    }

    /// Takes in all of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this part of them did not exceed, in milliseconds.
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
