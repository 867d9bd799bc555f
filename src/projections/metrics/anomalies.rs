//! [`Anomalies`]: time slices with unusual rates.

use std::collections::HashMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::MetricPlan;
use super::axis::AxisReader;
use super::block_reader::Participants;
use super::names::Kind;
use crate::events::{LogPosition, Ref, Topic};

/// How many slices before a slice it is compared with.
pub(in crate::projections) const PAST: usize = 30;

/// The fewest slices to compare with, from the first one with an event: a new actor has no usual rate yet.
const LEAST: usize = 8;

/// The score from which on a slice is an anomaly.
const FAR: f64 = 4.0;

/// The most slices of a query.
const MOST: u64 = 1_000;

/// The slices of a window in which the rate of the topic, or of one actor in it, was far from its usual rate.
///
/// Slices start at whole multiples of their width since 1970, so that they do not depend on the window; only slices
/// that lie wholly in the window are examined. A slice is compared with the 30 slices before it, from the first one
/// with an event; there must be at least 8. Counts are compared as 2·√(count + 3/8), which gives random counts a
/// spread of about 1 at any rate. The score is the distance from the median of the past, divided by its spread
/// (1.4826 times the median absolute deviation, at least 1). A slice is an anomaly from a score of 4 on, up or
/// down. The medians ignore a few unusual slices, and a lasting change becomes the usual rate in the end.
///
/// The result for a slice depends only on the slices before it, so it never changes. If days have a rhythm, use
/// slices of a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Anomalies {
    /// The topic.
    pub topic: Topic,
    /// The log position that the result reflects.
    pub head: LogPosition,
    /// The start of the first slice examined; `None` if there was none.
    pub from: Option<Timestamp>,
    /// The end of the last slice examined.
    pub until: Timestamp,
    /// The number of slices examined.
    pub slices: u64,
    /// The anomalies in the order of time: those of the topic, then those of its actors.
    pub anomalies: Vec<Anomaly>,
}

/// A slice with an unusual rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Anomaly {
    /// The actor; `None` for the whole topic.
    pub actor: Option<Ref>,
    /// The start of the slice.
    pub from: Timestamp,
    /// The end of the slice.
    pub until: Timestamp,
    /// The number of events in the slice.
    pub count: u64,
    /// The usual number of events: the median of the past.
    pub usual: f64,
    /// The distance from the usual rate: above 0 for more, below 0 for less.
    pub score: f64,
    /// The number of past slices that it was compared with.
    pub past: usize,
}

impl MetricPlan {
    pub(super) async fn anomalies(&self, width: SignedDuration) -> Result<Anomalies, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        let window = self.window(head).await?;
        let mut reader = AxisReader::for_topic(self.axis, &self.topic, &mut *snapshot).await?;
        let mut answer = Anomalies {
            topic: self.topic.clone(),
            head,
            from: None,
            until: window.until,
            slices: 0,
            anomalies: Vec::new(),
        };
        let width = i64::try_from(width.as_micros()).unwrap_or(i64::MAX);
        if width < 1_000_000 {
            return Err(MetricError::NoWidth);
        }
        let Some(from) = self.begin(&window, &mut reader).await? else { return Ok(answer) };
        let first =
            from.as_microsecond().div_euclid(width) + i64::from(from.as_microsecond().rem_euclid(width) > 0);
        let last = window.until.as_microsecond().div_euclid(width);
        if first >= last {
            return Ok(answer);
        }
        answer.slices = last.abs_diff(first);
        if answer.slices > MOST {
            return Err(MetricError::TooManySlices { slices: answer.slices, most: MOST });
        }
        let time =
            |slice: i64| slice.checked_mul(width).and_then(|micros| Timestamp::from_microsecond(micros).ok());
        (answer.from, answer.until) = (time(first), time(last).unwrap_or(window.until));
        let begins: Vec<Timestamp> =
            (first - PAST as i64..=last).map(|slice| time(slice).unwrap_or(Timestamp::MIN)).collect();
        let bounds = reader.places(&begins).await?;
        let slice_of = |n: usize| first - PAST as i64 + n as i64;
        let flagged = |counts: &[u64]| -> Vec<Anomaly> {
            let judged = (PAST..counts.len()).filter_map(|n| {
                let (usual, score, past) = judge(&counts[n - PAST..n], counts[n])?;
                let (from, until) = (time(slice_of(n))?, time(slice_of(n + 1))?);
                Some(Anomaly { actor: None, from, until, count: counts[n], usual, score, past })
            });
            judged.collect()
        };
        let totals = reader.measure(&bounds, window.until).await?.totals;
        answer.anomalies = flagged(&totals);
        let ranges: Vec<Range<u64>> = bounds.windows(2).map(|pair| pair[0]..pair[1].max(pair[0])).collect();
        let frequencies = reader.frequencies(&ranges, Participants::Actors).await?;
        let mut actors: HashMap<u32, Vec<u64>> = HashMap::new();
        for (n, frequencies) in frequencies.into_iter().enumerate() {
            for (actor, count) in frequencies {
                let counts = actors.entry(actor).or_insert_with(|| vec![0; ranges.len()]);
                counts[n] = count;
            }
        }
        let mut odd: Vec<(u32, Vec<Anomaly>)> =
            actors.iter().map(|(actor, counts)| (*actor, flagged(counts))).collect();
        odd.retain(|(_, anomalies)| !anomalies.is_empty());
        let names = reader.names(Kind::Actor, odd.iter().map(|(actor, _)| *actor)).await?;
        for (actor, anomalies) in odd {
            if let Some(actor) = names.get(&actor).and_then(|name| name.parse::<Ref>().ok()) {
                let of_actor = |anomaly| Anomaly { actor: Some(actor.clone()), ..anomaly };
                answer.anomalies.extend(anomalies.into_iter().map(of_actor));
            }
        }
        answer.anomalies.sort_by(|one, other| one.from.cmp(&other.from).then_with(|| one.actor.cmp(&other.actor)));
        Ok(answer)
    }
}

/// The usual count, the score and the number of past slices, if the count is an anomaly.
pub(in crate::projections) fn judge(past: &[u64], count: u64) -> Option<(f64, f64, usize)> {
    let past: Vec<f64> = past.iter().skip_while(|count| **count == 0).map(|count| *count as f64).collect();
    if past.len() < LEAST {
        return None;
    }
    let even = |count: f64| 2.0 * (count + 0.375).sqrt();
    // The median lies between the minimum and the maximum: most counts are near enough to both.
    let near = |end: f64| (even(count as f64) - even(end)).abs() < FAR;
    if near(past.iter().copied().fold(f64::MAX, f64::min)) && near(past.iter().copied().fold(0.0, f64::max)) {
        return None;
    }
    let evened: Vec<f64> = past.iter().map(|count| even(*count)).collect();
    let middle = median(evened.clone());
    let spread = 1.4826 * median(evened.iter().map(|count| (count - middle).abs()).collect());
    let score = (even(count as f64) - middle) / spread.max(1.0);
    (score.abs() >= FAR).then(|| (median(past.clone()), score, past.len()))
}

/// The median; the mean of the two middle values of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mission D20, for the arithmetic alone.
    #[test]
    fn ten_times_the_usual_count_is_an_anomaly_and_a_usual_count_is_not() {
        for (past, count, far) in [
            (vec![1; 8], 10, true),
            (vec![10; 30], 100, true),
            (vec![10; 30], 1, true),
            (vec![10; 30], 20, false),
            (vec![10; 7], 100, false),
            (vec![0; 30], 100, false),
            ([vec![0; 22], vec![100; 8]].concat(), 10, true),
            ([vec![3, 9, 14, 6, 11, 8, 12, 10], vec![10; 22]].concat(), 16, false),
            ([vec![10; 25], vec![10_000; 5]].concat(), 100, true),
            ((0..30).map(|n| n * 10).collect(), 290, false),
        ] {
            assert_eq!(judge(&past, count).is_some(), far, "{count} after {past:?}");
        }
        assert!(judge(&[10; 30], 100).unwrap().1 > 0.0 && judge(&[10; 30], 0).unwrap().1 < 0.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
