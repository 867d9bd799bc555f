//! Reading a metric: the range bounds become positions, and the counts are the difference of the prefix sums there.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};

use super::block_reader::BlockReader;
use super::names::Kind;
use super::prefix_sums::{PrefixSums, lengths};
use super::{Metric, MetricError, Rates, Rolling};
use crate::events::{Action, LogPosition, Topic};
use crate::projections::engine::progress_waiter::ProgressWaiter;
use crate::projections::{QueryError, RangeBound, Reading};
use crate::store::{Clock, StoreError, ViewSnapshot};

/// How often rolling counts are read again: they fall as time passes.
const TICK: Duration = Duration::from_secs(1);

/// A validated query.
pub(super) struct MetricPlan {
    pub reading: Reading,
    pub topic: Topic,
    pub from: Option<RangeBound>,
    pub until: Option<RangeBound>,
    pub after: Option<(LogPosition, Duration)>,
    pub clock: Clock,
}

/// The window, as positions and as times.
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
        let mut reader = BlockReader::for_topic(&self.topic, snapshot).await?;
        let mut bounds = vec![window.end, window.start];
        let lately = reader.places(&begins).await?;
        bounds.extend(lately.into_iter().map(|bound| bound.clamp(window.start, window.end)));
        let numbers = reader.before(&bounds).await?;
        let [end, start, minute, hour, day] = numbers.as_slice() else {
            return Err(StoreError::Diverged(head).into());
        };
        let from = self.begin(&window, end).await?;
        let mut metric = self.metric(head, from, window.until, end, [start, minute, hour, day]);
        let types = end.since(start);
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

    /// The start of the window: the topic's first event unless the query gives one. `end` are the prefix sums at
    /// the window's end.
    pub(super) async fn begin(&self, window: &Window, end: &PrefixSums) -> Result<Option<Timestamp>, StoreError> {
        match (window.from, end.first()) {
            (None, Some(first)) => self.time_of(first).await,
            (from, _) => Ok(from),
        }
    }

    pub(super) async fn time_of(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.reading.log().read_at(&[position]).await?.first().map(|event| event.recorded_at))
    }

    pub(super) async fn window(&self, head: LogPosition) -> Result<Window, MetricError> {
        let log = &**self.reading.log();
        let after_head = head.position.saturating_add(1);
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
        // The clock may have been set back: no event may be after now.
        let now = (self.clock)().max(self.time_of(head.position).await?.unwrap_or(Timestamp::MIN));
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

    fn metric(
        &self,
        head: LogPosition,
        from: Option<Timestamp>,
        until: Timestamp,
        end: &PrefixSums,
        [start, minute, hour, day]: [&PrefixSums; 4],
    ) -> Metric {
        let total = end.total().saturating_sub(start.total());
        let length = from.map_or(SignedDuration::ZERO, |from| until.duration_since(from)).as_secs_f64();
        // A window shorter than the unit is not extrapolated: one event in a second is not 60 a minute.
        let per = |unit: SignedDuration| total as f64 * unit.as_secs_f64() / length.max(unit.as_secs_f64());
        let lately = |since: &PrefixSums| end.total().saturating_sub(since.total());
        let [per_minute, per_hour, per_day] = lengths().map(per);
        let [rolling_minute, rolling_hour, rolling_day] = end.rolling(start, until);
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
            rates: Rates { last_minute: lately(minute), last_hour: lately(hour), last_day: lately(day) },
            rolling: Rolling { per_minute: rolling_minute, per_hour: rolling_hour, per_day: rolling_day },
        }
    }
}

/// The metric, and again whenever its counts change.
pub(super) fn watched(plan: Result<MetricPlan, QueryError>) -> BoxStream<'static, Result<Metric, MetricError>> {
    let watcher = match plan {
        Ok(plan) => Watcher { progress: ProgressWaiter::new(&plan.reading), plan, last: None, ended: false },
        Err(problem) => return stream::iter([Err(problem.into())]).boxed(),
    };
    stream::unfold(watcher, async |mut watcher| match watcher.next().await {
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
    last: Option<Metric>,
    ended: bool,
}

impl Watcher {
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
