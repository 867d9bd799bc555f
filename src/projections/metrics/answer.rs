//! How a metric is read: the bounds turned into positions, then one statement.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::{SignedDuration, Timestamp};

use super::{Metric, MetricError, Rates};
use crate::events::{Action, Head, Topic};
use crate::projections::moves::Moves;
use crate::projections::question::PATIENCE;
use crate::projections::{Bound, QueryError, Reading};
use crate::store::{Cell, Clock, StoreError, ViewSnapshot};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How often rolling counts are looked at: they fall with time alone.
const TICK: Duration = Duration::from_secs(1);

/// A question that makes sense.
pub(super) struct Plan {
    pub reading: Reading,
    pub topic: Topic,
    pub from: Option<Bound>,
    pub until: Option<Bound>,
    pub after: Option<Head>,
    pub clock: Clock,
}

/// The window, as positions and as times.
struct Window {
    start: u64,
    end: u64,
    /// None: it begins with the topic's first event.
    from: Option<Timestamp>,
    until: Timestamp,
}

/// The columns of one event type: how many events it had before each bound, and its first one in the window.
struct Counts {
    event_type: String,
    before: [u64; 5],
    first: Option<u64>,
}

impl Plan {
    pub(super) async fn read(&self) -> Result<Metric, MetricError> {
        if let Some(head) = self.after {
            self.reading.caught_up(head, Some(PATIENCE)).await?;
        }
        self.now().await
    }

    async fn now(&self) -> Result<Metric, MetricError> {
        let mut snapshot = self.reading.snapshot().await?;
        self.read_in(&mut *snapshot).await
    }

    pub(super) async fn read_in(&self, snapshot: &mut dyn ViewSnapshot) -> Result<Metric, MetricError> {
        let head = snapshot.head();
        // Bounds are looked up after the snapshot was taken: the log is not behind it.
        let window = self.window(head).await?;
        let log = self.reading.log();
        let mut bounds = [window.end, window.start, 0, 0, 0];
        for (bound, length) in bounds.iter_mut().skip(2).zip([MINUTE, HOUR, DAY]) {
            let begin = window.until.checked_sub(length).unwrap_or(Timestamp::MIN);
            *bound = log.position_at(begin).await?.clamp(window.start, window.end);
        }
        let counts = if head.position == 0 { Vec::new() } else { self.counts(bounds, snapshot).await? };
        let from = match (window.from, counts.iter().filter_map(|count| count.first).min()) {
            (None, Some(first)) => self.time_of(first).await?,
            (from, _) => from,
        };
        Ok(self.metric(head, from, window.until, &counts))
    }

    async fn time_of(&self, position: u64) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.reading.log().at(&[position]).await?.first().map(|event| event.recorded_at))
    }

    async fn window(&self, head: Head) -> Result<Window, MetricError> {
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
        // The clock may have been set back: no event is after now.
        let now = (self.clock)().max(self.time_of(head.position).await?.unwrap_or(Timestamp::MIN));
        let until = match self.until {
            None => now,
            Some(Bound::Time(time)) => time.min(now),
            Some(_) => self.time_of(end).await?.unwrap_or(now),
        };
        let from = match self.from {
            None => None,
            Some(Bound::Time(time)) => Some(time),
            Some(_) => Some(self.time_of(start).await?.unwrap_or(until)),
        };
        Ok(Window { start, end, from, until })
    }

    async fn counts(&self, bounds: [u64; 5], snapshot: &mut dyn ViewSnapshot) -> Result<Vec<Counts>, MetricError> {
        let points = snapshot.table("points");
        let of_type = "p.topic = t.topic AND p.event_type = t.event_type";
        let before = (2..=6).map(|bound| {
            format!(
                "coalesce((SELECT p.ordinal FROM {points} p WHERE {of_type} AND p.position < ${bound} \
                 ORDER BY p.position DESC LIMIT 1), 0)"
            )
        });
        let sql = format!(
            "SELECT t.event_type, {}, (SELECT p.position FROM {points} p WHERE {of_type} AND p.position >= $3 \
             AND p.position < $2 ORDER BY p.position LIMIT 1) FROM {} t WHERE t.topic = $1",
            before.collect::<Vec<_>>().join(", "),
            snapshot.table("types"),
        );
        let parameters = std::iter::once(Cell::from(self.topic.as_str())).chain(bounds.map(Cell::from)).collect();
        let rows = snapshot.query(&sql, parameters).await?;
        let number =
            |cell: Option<&Cell>| cell.and_then(Cell::integer).and_then(|number| u64::try_from(number).ok());
        let counts = rows.iter().map(|row| Counts {
            event_type: row.first().and_then(Cell::text).unwrap_or_default().to_owned(),
            before: std::array::from_fn(|bound| number(row.get(bound + 1)).unwrap_or(0)),
            first: number(row.get(6)),
        });
        Ok(counts.collect())
    }

    fn metric(&self, head: Head, from: Option<Timestamp>, until: Timestamp, counts: &[Counts]) -> Metric {
        let since = |bound: usize| -> u64 {
            counts.iter().map(|Counts { before, .. }| before[0].saturating_sub(before[bound])).sum()
        };
        let total = since(1);
        let length = from.map_or(SignedDuration::ZERO, |from| until.duration_since(from)).as_secs_f64();
        let per =
            |unit: SignedDuration| if length > 0.0 { total as f64 * unit.as_secs_f64() / length } else { 0.0 };
        let mut metric = Metric {
            topic: self.topic.clone(),
            head,
            from,
            until,
            total,
            by_action: Action::ALL.into_iter().map(|action| (action, 0)).collect(),
            by_event: Default::default(),
            per_minute: per(MINUTE),
            per_hour: per(HOUR),
            per_day: per(DAY),
            rates: Rates { last_minute: since(2), last_hour: since(3), last_day: since(4) },
        };
        for Counts { event_type, before: [end, start, ..], .. } in counts {
            let count = end.saturating_sub(*start);
            if let Some(known) = self.reading.types().get(event_type).filter(|_| count > 0) {
                *metric.by_action.entry(known.declaration.action).or_default() += count;
                metric.by_event.insert(event_type.clone(), count);
            }
        }
        metric
    }
}

/// The metric, and again whenever its counts have changed.
pub(super) fn watched(plan: Result<Plan, QueryError>) -> BoxStream<'static, Result<Metric, MetricError>> {
    let watcher = match plan {
        Ok(plan) => Watcher { moves: Moves::of(&plan.reading), plan, last: None, ended: false },
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
    plan: Plan,
    moves: Moves,
    last: Option<Metric>,
    ended: bool,
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<Metric>, MetricError> {
        while !self.ended {
            self.moves.note();
            let metric = match self.last {
                None => self.plan.read().await?,
                Some(_) => self.plan.now().await?,
            };
            let (head, rolling) = (metric.head, metric.rates != Rates::default());
            if self.last.as_ref().is_none_or(|last| !last.counts_like(&metric)) {
                self.last = Some(metric.clone());
                return Ok(Some(metric));
            }
            tokio::select! {
                moved = self.moves.beyond(&self.plan.reading, head) => self.ended = !moved?,
                () = tokio::time::sleep(TICK), if rolling => {}
            }
        }
        Ok(None)
    }
}
