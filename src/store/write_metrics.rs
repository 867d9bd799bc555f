//! [`WriteMetrics`]: counters of the write path of this process, for operators. They start at 0 with the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets of durations, in seconds.
pub(crate) const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The upper bounds of the buckets of batch sizes, in commits.
pub(crate) const COMMITS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Counters and histograms of the write path.
#[derive(Debug)]
pub(crate) struct WriteMetrics {
    /// The duration of appending a batch.
    pub appends: Histogram,
    /// The number of commits of a batch.
    pub batches: Histogram,
    /// Decisions on a cached state, and on one that was loaded.
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    /// Decisions that failed with a conflict.
    pub conflicts: AtomicU64,
    /// Commands that were executed, refused, and failed with an error.
    pub executed: AtomicU64,
    pub refused: AtomicU64,
    pub failed: AtomicU64,
}

impl Default for WriteMetrics {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            appends: Histogram::new(SECONDS),
            batches: Histogram::new(COMMITS),
            hits: zero(),
            misses: zero(),
            conflicts: zero(),
            executed: zero(),
            refused: zero(),
            failed: zero(),
        }
    }
}

impl WriteMetrics {
    /// Records an attempt to append a batch.
    pub fn appended(&self, commits: usize, took: Duration) {
        self.appends.observe(took.as_secs_f64());
        self.batches.observe(commits as f64);
    }
}

/// Adds 1 to a counter.
pub(crate) fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// A histogram.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last bucket has the values above all of them.
    counts: Vec<AtomicU64>,
    /// The sum of all values, in millionths.
    sum: AtomicU64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(),
            sum: AtomicU64::default(),
        }
    }

    pub fn observe(&self, value: f64) {
        let slot = self.bounds.partition_point(|bound| *bound < value);
        self.counts[slot].fetch_add(1, Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Relaxed);
    }

    /// Returns the sum, the number of values, and the number of each bucket with its upper bound.
    #[cfg(feature = "http")]
    pub fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts: Vec<(f64, u64)> = bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        (self.sum.load(Relaxed) as f64 / 1e6, counts.iter().map(|(_, count)| count).sum(), counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_first_bound_that_is_not_below_it() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 2.0, 9.0].iter().for_each(|value| histogram.observe(*value));
        let counts: Vec<u64> = histogram.counts.iter().map(|count| count.load(Relaxed)).collect();
        assert_eq!(counts, [2, 2, 1]);
        assert_eq!(histogram.sum.load(Relaxed), 14_000_000);
    }
}
