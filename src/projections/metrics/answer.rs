//! Reading a metric: the bounds of the range become points of the axis, and the counts between them are read.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};

use super::axis::{Axis, AxisReader, Measured};
use super::names::Kind;
use super::prefix_sums::lengths;
use super::slot_reader::{self, point};
use super::{Metric, MetricError, Rates, Rolling};
use crate::events::{Action, LogPosition, Topic};
use crate::projections::engine::progress_waiter::ProgressWaiter;
use crate::projections::{FollowRight, QueryError, RangeBound, Reading};
use crate::store::{Clock, StoreError, ViewSnapshot};

/// How often rolling counts are read again: they fall as time passes.
const TICK: Duration = Duration::from_secs(1);

/// A validated query.
pub(super) struct MetricPlan {
    pub reading: Reading,
    pub topic: Topic,
    pub axis: Axis,
    pub from: Option<RangeBound>,
    pub until: Option<RangeBound>,
    pub after: Option<(LogPosition, Duration)>,
    pub clock: Clock,
}

/// The window, as points of the axis and as times.
pub(super) struct Window {
    pub start: u64,
    pub end: u64,
    /// `None` means that it starts with the topic's first event.
    pub from: Option<Timestamp>,
    pub until: Timestamp,
}

impl MetricPlan {
    pub(super) async fn read(&self) -> Result<Metric, MetricError> {
        self.wait().await?;
        self.now(LogPosition::default()).await
    }

    /// Waits until the metrics contain the caller's own write.
    pub(super) async fn wait(&self) -> Result<(), MetricError> {
        if let Some((head, patience)) = self.after {
            self.reading.caught_up(head, Some(patience)).await?;
        }
        Ok(())
    }

    /// The metric for a reader that has seen the log up to `seen`.
    async fn now(&self, seen: LogPosition) -> Result<Metric, MetricError> {
        let mut snapshot = self.reading.snapshot_after(seen).await?;
        self.read_in(&mut *snapshot).await
    }

    pub(super) async fn read_in(&self, snapshot: &mut dyn ViewSnapshot) -> Result<Metric, MetricError> {
        let head = snapshot.head();
        // The bounds are looked up after the snapshot was taken, so that the log is not behind it.
        let window = self.window(head).await?;
        let begins = lengths().map(|length| window.until.checked_sub(length).unwrap_or(Timestamp::MIN));
        let mut reader = AxisReader::for_topic(self.axis, &self.topic, snapshot).await?;
        let lately = reader.places(&begins).await?;
        let [minute, hour, day] = lately.as_slice() else { return Err(StoreError::Diverged(head).into()) };
        let [minute, hour, day] = [minute, hour, day].map(|bound| (*bound).clamp(window.start, window.end));
        let points = [window.start, day, hour, minute, window.end];
        let measured = reader.measure(&points, window.until).await?;
        let from = match (window.from, measured.first) {
            (None, Some(first)) => self.time_at(first).await?,
            _ => self.begin(&window, &mut reader).await?,
        };
        let mut metric = self.metric(head, from, window.until, &measured);
        let types = measured.types;
        let names = reader.names(Kind::Type, types.keys().copied()).await?;
        for (number, count) in types {
            let known = names.get(&number).and_then(|name| self.reading.types().get(name));
            if let (Some(name), Some(known)) = (names.get(&number), known) {
                *metric.by_action.entry(known.declaration.action).or_default() += count;
                metric.by_event.insert(name.clone(), count);
            }
        }
        Ok(metric)
    }

    /// The start of the window: the topic's first event unless the query gives one.
    pub(super) async fn begin(
        &self,
        window: &Window,
        reader: &mut AxisReader<'_>,
    ) -> Result<Option<Timestamp>, MetricError> {
        if window.from.is_some() {
            return Ok(window.from);
        }
        match reader.first(window.end).await? {
            Some(first) => Ok(self.time_at(first).await?),
            None => Ok(None),
        }
    }

    /// The time of an event at a point of the axis.
    async fn time_at(&self, point: u64) -> Result<Option<Timestamp>, StoreError> {
        match self.axis {
            Axis::Recorded => self.time_of(point).await,
            Axis::Occurred => Ok(Some(slot_reader::time(point))),
        }
    }

    pub(super) async fn time_of(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.reading.log().read_at(&[position]).await?.first().map(|event| event.recorded_at))
    }

    pub(super) async fn window(&self, head: LogPosition) -> Result<Window, MetricError> {
        let log = &**self.reading.log();
        let after_head = head.position.saturating_add(1);
        if self.axis == Axis::Occurred {
            return self.window_of_time(head).await;
        }
        let start = match self.from {
            Some(from) => from.position(log).await?,
            None => 1,
        };
        let end = match self.until {
            Some(until) => until.position(log).await?,
            None => after_head,
        };
        if let (Some(from), Some(until)) = (self.from, self.until)
            && end <= head.position
            && start > end
        {
            return Err(QueryError::EndBeforeStart { from, until }.into());
        }
        let end = end.min(after_head);
        let start = start.min(end);
        let now = self.now_at(head).await?;
        let until = match self.until {
            None => now,
            Some(RangeBound::Time(time)) => time.min(now),
            Some(_) => self.time_of(end).await?.unwrap_or(now),
        };
        let from = match self.from {
            None => None,
            Some(RangeBound::Time(time)) => Some(time),
            Some(_) => Some(self.time_of(start).await?.unwrap_or(until)),
        };
        Ok(Window { start, end, from, until })
    }

    /// Now: the clock may have been set back, and no event may be recorded after now.
    async fn now_at(&self, head: LogPosition) -> Result<Timestamp, StoreError> {
        Ok((self.clock)().max(self.time_of(head.position).await?.unwrap_or(Timestamp::MIN)))
    }

    /// The window of a query by occurrence.
    async fn window_of_time(&self, head: LogPosition) -> Result<Window, MetricError> {
        let time = |bound: Option<RangeBound>| match bound {
            Some(RangeBound::Time(time)) => Some(time),
            _ => None,
        };
        let from = time(self.from);
        let start = point(from.unwrap_or(Timestamp::MIN));
        let (until, end) = match time(self.until) {
            Some(until) => (until, point(until)),
            None => {
                let now = self.now_at(head).await?;
                // An event that occurs right now is in the window.
                (now, point(now).saturating_add(1))
            }
        };
        // A start after now: the window is empty.
        Ok(Window { start: start.min(end), end, from, until })
    }

    fn metric(&self, head: LogPosition, from: Option<Timestamp>, until: Timestamp, measured: &Measured) -> Metric {
        let lately = |from: usize| measured.totals.iter().skip(from).sum::<u64>();
        let total = lately(0);
        let length = from.map_or(SignedDuration::ZERO, |from| until.duration_since(from)).as_secs_f64();
        // A window shorter than the unit has no mean: one event in a second is not 60 a minute.
        let per = |unit: SignedDuration| {
            let unit = unit.as_secs_f64();
            (length >= unit).then(|| total as f64 * unit / length)
        };
        let [per_minute, per_hour, per_day] = lengths().map(per);
        let [rolling_minute, rolling_hour, rolling_day] = measured.rolling;
        Metric {
            topic: self.topic.clone(),
            head,
            from,
            until,
            total,
            by_action: Action::ALL.into_iter().map(|action| (action, 0)).collect(),
            by_event: Default::default(),
            per_minute,
            per_hour,
            per_day,
            rates: Rates { last_minute: lately(3), last_hour: lately(2), last_day: lately(1) },
            rolling: Rolling { per_minute: rolling_minute, per_hour: rolling_hour, per_day: rolling_day },
        }
    }
}

/// Asks whether a metric may be watched, and returns the right to do that.
pub(crate) type FollowMetric = Arc<dyn Fn() -> BoxFuture<'static, Result<FollowRight, MetricError>> + Send + Sync>;

/// The metric, and again whenever its counts change.
pub(super) fn watched(
    plan: Result<MetricPlan, MetricError>,
    follow: Option<FollowMetric>,
) -> BoxStream<'static, Result<Metric, MetricError>> {
    let right = FollowRight::unlimited();
    let watcher = match plan {
        Ok(plan) => {
            let progress = ProgressWaiter::new(&plan.reading);
            Watcher { progress, plan, follow, right, last: None, ended: false }
        }
        Err(problem) => return stream::iter([Err(problem)]).boxed(),
    };
    stream::unfold(watcher, async |mut watcher| match watcher.next_allowed().await {
        Ok(Some(metric)) => Some((Ok(metric), watcher)),
        Err(error) if !error.is_closed() => {
            watcher.ended = true;
            Some((Err(error), watcher))
        }
        _ => None,
    })
    .boxed()
}

struct Watcher {
    plan: MetricPlan,
    progress: ProgressWaiter,
    /// Access control, asked before the first answer.
    follow: Option<FollowMetric>,
    right: FollowRight,
    last: Option<Metric>,
    ended: bool,
}

impl Watcher {
    /// The next metric, as long as it may be followed.
    async fn next_allowed(&mut self) -> Result<Option<Metric>, MetricError> {
        if let Some(follow) = self.follow.take() {
            self.right = follow().await?;
        }
        let mut right = std::mem::take(&mut self.right);
        let next = tokio::select! {
            biased;
            end = right.ended() => Err(end.into()),
            next = self.next() => next,
        };
        self.right = right;
        next
    }

    async fn next(&mut self) -> Result<Option<Metric>, MetricError> {
        while !self.ended {
            self.progress.note();
            let metric = match &self.last {
                None => self.plan.read().await?,
                Some(last) => self.plan.now(last.head).await?,
            };
            let (head, rolling) = (metric.head, metric.rates != Rates::default());
            if self.last.as_ref().is_none_or(|last| !last.counts_like(&metric)) {
                self.last = Some(metric.clone());
                return Ok(Some(metric));
            }
            tokio::select! {
                moved = self.progress.beyond(&self.plan.reading, head) => self.ended = !moved?,
                () = tokio::time::sleep(TICK), if rolling => {}
            }
        }
        Ok(None)
    }
}
