//! Streams of rows: what is stored, and what happens after that.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::SignedDuration;

use super::page::read_page;
use super::plan::{Place, Plan};
use super::{AuditError, AuditRow};
use crate::events::LogPosition;
use crate::projections::QueryError;
use crate::projections::engine::progress_waiter::ProgressWaiter;

/// How many rows are kept for a slow reader.
const CHUNK: u64 = 256;

/// How long after the end of a range an append may still be under way that began before it.
const GRACE: SignedDuration = SignedDuration::from_secs(1);

/// How often the clock is looked at while a range waits for its end.
const TICK: Duration = Duration::from_millis(100);

type Rows = BoxStream<'static, Result<AuditRow, AuditError>>;

/// All pages, as of the first one's head.
pub(super) fn stored(plan: Result<Plan, QueryError>) -> Rows {
    rows(plan, false)
}

/// All that is stored, then all that comes.
pub(super) fn live(plan: Result<Plan, QueryError>) -> Rows {
    rows(plan, true)
}

fn rows(plan: Result<Plan, QueryError>, live: bool) -> Rows {
    match plan {
        Ok(plan) => {
            let tail = Tail {
                remaining: plan.limit.unwrap_or(u64::MAX),
                progress: ProgressWaiter::new(&plan.reading),
                plan,
                live,
                place: None,
                seen: LogPosition::default(),
                buffer: VecDeque::new(),
                ended: false,
            };
            stream::unfold(tail, Tail::next).boxed()
        }
        Err(problem) => stream::iter([Err(problem.into())]).boxed(),
    }
}

struct Tail {
    plan: Plan,
    live: bool,
    remaining: u64,
    progress: ProgressWaiter,
    /// None before the first page.
    place: Option<Place>,
    /// Up to where the log was when the last page was read: what follows has to be of the same log.
    seen: LogPosition,
    buffer: VecDeque<AuditRow>,
    ended: bool,
}

impl Tail {
    async fn next(mut self) -> Option<(Result<AuditRow, AuditError>, Self)> {
        loop {
            if self.remaining == 0 {
                return None;
            }
            if let Some(row) = self.buffer.pop_front() {
                self.remaining -= 1;
                return Some((Ok(row), self));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.fill().await {
                if self.live && error.is_closed() {
                    return None;
                }
                self.ended = true;
                return Some((Err(error), self));
            }
        }
    }

    /// Reads the next page; if it is empty, waits for a reason to read another.
    async fn fill(&mut self) -> Result<(), AuditError> {
        let mut place = match self.place {
            Some(place) => place,
            None => self.plan.begin().await?,
        };
        self.progress.note();
        let mut snapshot = self.plan.reading.snapshot_after(self.seen).await?;
        let page = read_page(&self.plan, &mut place, &mut *snapshot, self.remaining.min(CHUNK)).await?;
        self.seen = page.head;
        drop(snapshot);
        if self.place.is_some() && !page.rows.is_empty() {
            self.plan.tell(&page.rows).await?;
        }
        let complete = page.next.is_none();
        self.buffer.extend(page.rows);
        if !self.live {
            place.newest.get_or_insert(page.head.position);
            self.ended = complete;
        }
        self.place = Some(place);
        if self.live && complete {
            self.ended = place.over || self.over_by_now(page.head).await?;
            if !self.ended && self.buffer.is_empty() {
                self.wait(page.head).await?;
            }
        }
        Ok(())
    }

    /// Whether the time of the range's end has passed, and the audit log holds all that the log had then.
    async fn over_by_now(&self, seen: LogPosition) -> Result<bool, AuditError> {
        let Some(end) = self.plan.until.and_then(|until| until.over_after()) else { return Ok(false) };
        if (self.plan.clock)().duration_since(end) < GRACE {
            return Ok(false);
        }
        Ok(self.plan.reading.log().head().await?.position <= seen.position)
    }

    /// Until the audit log has moved beyond `seen`, or a range may have ended, or all is over.
    async fn wait(&mut self, seen: LogPosition) -> Result<(), AuditError> {
        let ticking = self.plan.until.and_then(|until| until.over_after()).is_some();
        tokio::select! {
            moved = self.progress.beyond(&self.plan.reading, seen) => self.ended = !moved?,
            () = tokio::time::sleep(TICK), if ticking => {}
        }
        Ok(())
    }
}
