//! [`Buckets`]: a window in time slices, for a plot.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::MetricPlan;
use super::axis::{Axis, AxisReader};
use crate::events::{LogPosition, Topic};

/// The most slices.
const MOST: usize = 1_000;

/// The number of events of a topic and all topics below it in each time slice of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Buckets {
    /// The topic.
    pub topic: Topic,
    /// The log position that the counts reflect.
    pub head: LogPosition,
    /// The slices in order; empty if there is no event to start with.
    pub buckets: Vec<Bucket>,
}

/// One time slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Bucket {
    /// The start, inclusive.
    pub from: Timestamp,
    /// The end, exclusive. The last slice includes everything that the window has so far.
    pub until: Timestamp,
    /// The number of events.
    pub total: u64,
}

impl MetricPlan {
    pub(super) async fn buckets(&self, slices: usize) -> Result<Buckets, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        let window = self.window(head).await?;
        let mut reader = AxisReader::for_topic(self.axis, &self.topic, &mut *snapshot).await?;
        let mut buckets = Buckets { topic: self.topic.clone(), head, buckets: Vec::new() };
        let Some(from) = self.begin(&window, &mut reader).await? else { return Ok(buckets) };
        let slices = slices.clamp(1, MOST);
        let length = window.until.duration_since(from).as_micros().max(0);
        let edge = |slice: usize| {
            let mut micros = length * slice as i128 / slices as i128;
            if self.axis == Axis::Occurred && length > 120_000_000 * slices as i128 {
                // Whole minutes need no events, only slots: see `slots`.
                micros -= (i128::from(from.as_microsecond()) + micros).rem_euclid(60_000_000);
            }
            from.checked_add(SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
        };
        let mut edges = (0..=slices).map(|slice| edge(slice).unwrap_or(window.until)).collect::<Vec<_>>();
        // The ends of the window are as requested.
        (edges[0], edges[slices]) = (from, window.until.max(from));
        let inner = reader.places(&edges[1..slices]).await?;
        let inner = inner.into_iter().map(|bound| bound.clamp(window.start, window.end));
        let bounds: Vec<u64> = std::iter::once(window.start).chain(inner).chain([window.end]).collect();
        let totals = reader.measure(&bounds, window.until).await?.totals;
        for (edges, total) in edges.windows(2).zip(totals) {
            if let [from, until] = edges {
                buckets.buckets.push(Bucket { from: *from, until: *until, total });
            }
        }
        Ok(buckets)
    }
}
