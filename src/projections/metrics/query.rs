//! [`MetricQuery`]: the builder of questions to the metrics.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};

use super::answer::{Plan, watched};
use super::{Anomalies, Buckets, Busiest, ChildTopics, Metric, MetricError};
use crate::events::{LogPosition, Topic};
use crate::projections::query_error::{PATIENCE, check_range, check_topic};
use crate::projections::{QueryError, RangeBound, Reading};
use crate::store::{Clock, ViewSnapshot};

/// A question to the metrics; await it.
///
/// ```
/// use annals::projections::metrics::{MetricError, MetricQuery};
/// use annals::projections::{RangeBound, Reading};
///
/// async fn busy(metrics: Reading, since: RangeBound) -> Result<bool, MetricError> {
///     let metric = MetricQuery::new(metrics).topic("project/member").from(since).await?;
///     Ok(metric.per_hour > 10.0 || metric.rates.last_minute > 5)
/// }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is awaited"]
pub struct MetricQuery {
    reading: Reading,
    topic: Result<Topic, QueryError>,
    from: Option<RangeBound>,
    until: Option<RangeBound>,
    after: Option<LogPosition>,
    patience: Duration,
    clock: Clock,
}

impl MetricQuery {
    /// Of all events, from the first one until now.
    pub fn new(reading: Reading) -> Self {
        let clock: Clock = Arc::new(Timestamp::now);
        Self { reading, topic: Ok(Topic::root()), from: None, until: None, after: None, patience: PATIENCE, clock }
    }

    /// Of this topic and all below it. One that the application does not declare is an error.
    pub fn topic(mut self, topic: impl fmt::Display) -> Self {
        let topic = topic.to_string().parse::<Topic>().map_err(QueryError::from);
        self.topic = topic.and_then(|topic| check_topic(&topic, self.reading.types()).map(|()| topic));
        self
    }

    /// From here on, with the event here.
    pub fn from(mut self, bound: impl Into<RangeBound>) -> Self {
        self.from = Some(bound.into());
        self
    }

    /// Up to here, without the event here.
    pub fn until(mut self, bound: impl Into<RangeBound>) -> Self {
        self.until = Some(bound.into());
        self
    }

    /// From `from`, with the event there, up to `until`, without the event there.
    pub fn between(self, from: impl Into<RangeBound>, until: impl Into<RangeBound>) -> Self {
        self.from(from).until(until)
    }

    /// Waits until the metrics hold this write (a receipt), so that the answer does.
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// How long [`after`](Self::after) waits at most: half a minute when nothing is said.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The clock that says what is now. It should be the store's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The metric as of a moment that was taken before: other reads of `snapshot`, a snapshot of the metrics, see the
    /// same.
    ///
    /// # Errors
    /// When the question cannot be answered or the metrics cannot be read.
    pub async fn read_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<Metric, MetricError> {
        self.plan()?.read_in(snapshot).await
    }

    /// The metric now, then again whenever one of its counts has changed; rolling counts that fall are noticed
    /// within a second. A slow reader gets the latest. It ends when it is dropped and when the application is
    /// closed, and after an error.
    pub fn watch(self) -> BoxStream<'static, Result<Metric, MetricError>> {
        watched(self.plan())
    }

    /// How many actors and targets there are, and the `most` busiest of either.
    ///
    /// What it costs grows with the number of different actors and targets in the window, hardly with its events: whole
    /// blocks are added up, and at most 8,190 events at the window's ends looked at.
    ///
    /// # Errors
    /// When the question cannot be answered or the metrics cannot be read.
    pub async fn busiest(self, most: usize) -> Result<Busiest, MetricError> {
        self.plan()?.busiest(most).await
    }

    /// The topics one step below that the whole log has, whatever the window: the first so many that came in it, in the
    /// order of their names. It takes one search, however long the log is.
    ///
    /// # Errors
    /// When the question cannot be answered or the metrics cannot be read.
    pub async fn child_topics(self, most: usize) -> Result<ChildTopics, MetricError> {
        self.plan()?.child_topics(most).await
    }

    /// The window in so many slices of time of the same width, 1,000 at most: for a plot.
    ///
    /// # Errors
    /// When the question cannot be answered or the metrics cannot be read.
    pub async fn buckets(self, slices: usize) -> Result<Buckets, MetricError> {
        self.plan()?.buckets(slices).await
    }

    /// The slices of time of this width, whole ones in the window, in which the topic, or an actor in it, did far more or
    /// less than in the slices before. See [`Anomalies`].
    ///
    /// # Errors
    /// When the question cannot be answered, the window has too many slices, or the metrics cannot be read.
    pub async fn anomalies(self, width: SignedDuration) -> Result<Anomalies, MetricError> {
        self.plan()?.anomalies(width).await
    }

    fn plan(self) -> Result<Plan, QueryError> {
        check_range(self.from, self.until)?;
        Ok(Plan {
            reading: self.reading,
            topic: self.topic?,
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
            .field("from", &self.from)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
