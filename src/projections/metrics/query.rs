//! [`MetricQuery`]: the builder of queries for metrics.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};

use super::answer::{FollowMetric, MetricPlan, watched};
use super::axis::Axis;
use super::{Anomalies, Buckets, Busiest, ChildTopics, Metric, MetricError};
use crate::events::{LogPosition, Topic};
use crate::projections::query_error::{PATIENCE, check_range, check_topic};
use crate::projections::{QueryError, RangeBound, Reading};
use crate::store::{Clock, ViewSnapshot};

/// A query for metrics; await it.
///
/// ```
/// use annals::projections::metrics::{MetricError, MetricQuery};
/// use annals::projections::{RangeBound, Reading};
///
/// async fn busy(metrics: Reading, since: RangeBound) -> Result<bool, MetricError> {
///     let metric = MetricQuery::new(metrics).topic("project/member").from(since).await?;
///     Ok(metric.per_hour.is_some_and(|events| events > 10.0) || metric.rates.last_minute > 5)
/// }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is awaited"]
pub struct MetricQuery {
    reading: Reading,
    topic: Result<Topic, QueryError>,
    axis: Axis,
    from: Option<RangeBound>,
    until: Option<RangeBound>,
    after: Option<LogPosition>,
    patience: Duration,
    clock: Clock,
    follow: Option<FollowMetric>,
}

impl MetricQuery {
    /// All events, from the first one until now.
    pub fn new(reading: Reading) -> Self {
        let clock: Clock = Arc::new(Timestamp::now);
        Self {
            reading,
            topic: Ok(Topic::root()),
            axis: Axis::Recorded,
            from: None,
            until: None,
            after: None,
            patience: PATIENCE,
            clock,
            follow: None,
        }
    }

    /// Only this topic and all topics below it. A topic that the application does not declare is an error.
    pub fn topic(mut self, topic: impl fmt::Display) -> Self {
        let topic = topic.to_string().parse::<Topic>().map_err(QueryError::from);
        self.topic = topic.and_then(|topic| check_topic(&topic, self.reading.types()).map(|()| topic));
        self
    }

    /// Measures events by when they occurred, not by when they were recorded: for imported histories. The bounds of the
    /// range are times; without an end it ends now, and events that occur later are not in it. The application declares
    /// it with [`App::metrics_by_occurrence`](crate::app::App::metrics_by_occurrence).
    ///
    /// ```
    /// # use annals::projections::metrics::{MetricError, MetricQuery};
    /// # use annals::projections::{RangeBound, Reading};
    /// async fn in_march(metrics: Reading) -> Result<u64, Box<dyn std::error::Error>> {
    ///     let (from, until): (RangeBound, RangeBound) = ("2019-03-01".parse()?, "2019-04-01".parse()?);
    ///     Ok(MetricQuery::new(metrics).by_occurrence().between(from, until).await?.total)
    /// }
    /// ```
    pub fn by_occurrence(mut self) -> Self {
        self.axis = Axis::Occurred;
        self
    }

    /// The start of the range, inclusive.
    pub fn from(mut self, bound: impl Into<RangeBound>) -> Self {
        self.from = Some(bound.into());
        self
    }

    /// The end of the range, exclusive.
    pub fn until(mut self, bound: impl Into<RangeBound>) -> Self {
        self.until = Some(bound.into());
        self
    }

    /// The range from `from` (inclusive) to `until` (exclusive).
    pub fn between(self, from: impl Into<RangeBound>, until: impl Into<RangeBound>) -> Self {
        self.from(from).until(until)
    }

    /// Waits until the metrics contain this write, for example a receipt.
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// How long [`after`](Self::after) waits: half a minute by default.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The clock that defines now. It should be the store's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Access control, asked before the metric is watched.
    pub(crate) fn follow_by(mut self, follow: FollowMetric) -> Self {
        self.follow = Some(follow);
        self
    }

    /// The metric in `snapshot`, a snapshot of the metrics; other reads of the snapshot see the same state.
    ///
    /// # Errors
    /// When the query is invalid or the metrics cannot be read.
    pub async fn read_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<Metric, MetricError> {
        self.plan()?.read_in(snapshot).await
    }

    /// The current metric, then again whenever one of its counts changes; rolling counts that fall are noticed
    /// within a second. A slow reader skips to the latest. The stream ends when the application closes, and after
    /// an error: also when it may not be followed any longer ([`MetricError::Follow`]).
    pub fn watch(mut self) -> BoxStream<'static, Result<Metric, MetricError>> {
        let follow = self.follow.take();
        watched(self.plan(), follow)
    }

    /// The number of different actors and targets, and the `most` busiest of each.
    ///
    /// The cost grows with the number of different actors and targets in the window, hardly with its events: it
    /// adds up whole blocks and reads at most 8,190 events at the window's ends. By occurrence it reads the events of at
    /// most an hour at each end.
    ///
    /// # Errors
    /// When the query is invalid or the metrics cannot be read.
    pub async fn busiest(self, most: usize) -> Result<Busiest, MetricError> {
        self.plan()?.busiest(most).await
    }

    /// The topics one step below, over the whole log whatever the window: the first `most` in the order of the log,
    /// sorted by name. It takes one index search, however long the log is.
    ///
    /// # Errors
    /// When the query is invalid or the metrics cannot be read.
    pub async fn child_topics(self, most: usize) -> Result<ChildTopics, MetricError> {
        self.plan()?.child_topics(most).await
    }

    /// The window in `slices` time slices of equal width, at most 1,000, for a plot. By occurrence, slices of more
    /// than two minutes meet at whole minutes.
    ///
    /// # Errors
    /// When the query is invalid or the metrics cannot be read.
    pub async fn buckets(self, slices: usize) -> Result<Buckets, MetricError> {
        self.plan()?.buckets(slices).await
    }

    /// The whole time slices of this width in which the topic, or an actor in it, was far more or less active than
    /// in the slices before. See [`Anomalies`].
    ///
    /// # Errors
    /// When the query is invalid, the window has too many slices, or the metrics cannot be read.
    pub async fn anomalies(self, width: SignedDuration) -> Result<Anomalies, MetricError> {
        self.plan()?.anomalies(width).await
    }

    fn plan(self) -> Result<MetricPlan, MetricError> {
        check_range(self.from, self.until)?;
        for bound in self.from.into_iter().chain(self.until).filter(|_| self.axis == Axis::Occurred) {
            if !matches!(bound, RangeBound::Time(_)) {
                return Err(MetricError::BoundIsNoTime(bound));
            }
        }
        Ok(MetricPlan {
            reading: self.reading,
            topic: self.topic?,
            axis: self.axis,
            from: self.from,
            until: self.until,
            after: self.after.map(|head| (head, self.patience)),
            clock: self.clock,
        })
    }
}

impl IntoFuture for MetricQuery {
    type Output = Result<Metric, MetricError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.plan()?.read().await })
    }
}

impl fmt::Debug for MetricQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricQuery")
            .field("topic", &self.topic)
            .field("axis", &self.axis)
            .field("from", &self.from)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
