//! Event counts as a line of text.

use crate::projections::metrics::Bucket;

/// Draws each bucket as one bar; the highest bar is the largest bucket.
pub(super) fn sparkline(buckets: &[Bucket]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = most(buckets);
    let bar = |bucket: &Bucket| match bucket.total {
        0 => ' ',
        total => BARS[usize::try_from((total * 8 - 1) / most).unwrap_or(7).min(7)],
    };
    buckets.iter().map(bar).collect()
}

/// The events of the largest bucket, at least 1.
pub(super) fn most(buckets: &[Bucket]) -> u64 {
    buckets.iter().map(|bucket| bucket.total).max().unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(totals: &[u64]) -> Vec<Bucket> {
        let time = |n: usize| jiff::Timestamp::from_second(60 * n as i64).unwrap();
        let bucket = |(n, total): (usize, &u64)| Bucket { from: time(n), until: time(n + 1), total: *total };
        totals.iter().enumerate().map(bucket).collect()
    }

    #[test]
    fn a_bar_is_proportional_to_the_highest_count() {
        assert_eq!(sparkline(&buckets(&[0, 1, 8, 4, 7])), " ▁█▄▇");
        assert_eq!(sparkline(&buckets(&[0, 0])), "  ");
        assert_eq!(sparkline(&buckets(&[1_000_000, 1])), "█▁");
    }
}
