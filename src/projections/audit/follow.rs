//! Streams of rows: the stored rows, and then live ones.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{self, BoxStream, FusedStream};
use futures::{StreamExt, TryStreamExt};
use jiff::SignedDuration;

#[cfg(feature = "export")]
use super::Detail;
use super::page::read_page;
use super::plan::{QueryPlan, ReadProgress};
use super::scan::PAGE_BYTES;
use super::snapshots::Snapshots;
use super::{AuditError, AuditRow, Cursor};
use crate::events::LogPosition;
use crate::projections::engine::progress_waiter::ProgressWaiter;
use crate::projections::{FollowRight, QueryError};

/// The rows buffered for a slow reader.
const CHUNK: u64 = 256;

/// How long after the end of a range an append that began before it may still be in flight.
const GRACE: SignedDuration = SignedDuration::from_secs(1);

/// How often the clock is checked while a range waits for its end.
const TICK: Duration = Duration::from_millis(100);

type Rows = BoxStream<'static, Result<AuditRow, AuditError>>;

/// All stored rows up to the head of the first page.
pub(super) fn stored(plan: Result<QueryPlan, QueryError>) -> Rows {
    rows(plan, false)
}

/// The stored rows, then live ones.
pub(super) fn live(plan: Result<QueryPlan, QueryError>) -> Rows {
    rows(plan, true)
}

/// Reads the next rows of a stream: at most `most`, and about a page of text. At the end there are none.
pub(crate) async fn next_rows(
    rows: &mut (impl FusedStream<Item = Result<AuditRow, AuditError>> + Unpin),
    most: usize,
) -> Result<Vec<AuditRow>, AuditError> {
    let (mut next, mut text_bytes) = (Vec::new(), 0);
    while next.len() < most && text_bytes < PAGE_BYTES {
        let Some(row) = rows.try_next().await? else { break };
        text_bytes += row.text_bytes();
        next.push(row);
    }
    Ok(next)
}

/// All stored rows, and how much of each event they show. Access control is asked before this returns.
#[cfg(feature = "export")]
pub(super) async fn stored_with_detail(plan: QueryPlan) -> Result<(Detail, Rows), AuditError> {
    let mut rows = RowStream::new(plan, false);
    let detail = rows.begin().await?.detail;
    Ok((detail, stream::unfold(rows, RowStream::next).boxed()))
}

fn rows(plan: Result<QueryPlan, QueryError>, live: bool) -> Rows {
    match plan {
        Ok(plan) => stream::unfold(RowStream::new(plan, live), RowStream::next).boxed(),
        Err(problem) => stream::iter([Err(problem.into())]).boxed(),
    }
}

struct RowStream {
    plan: QueryPlan,
    live: bool,
    remaining: u64,
    moves: ProgressWaiter,
    /// `None` before access control is asked.
    progress: Option<ReadProgress>,
    /// Whether the first page was read: access control is asked again for each further one.
    delivered: bool,
    /// The head at the last page: the next page has to be of the same log.
    seen: LogPosition,
    buffer: VecDeque<AuditRow>,
    /// The right to follow, of a live stream.
    right: FollowRight,
    /// Where the stream can be continued: after the last row, or where no row follows it.
    cursor: Option<Cursor>,
    ended: bool,
}

impl RowStream {
    fn new(plan: QueryPlan, live: bool) -> Self {
        Self {
            remaining: plan.limit.unwrap_or(u64::MAX),
            moves: ProgressWaiter::new(&plan.reading),
            cursor: plan.cursor,
            plan,
            live,
            progress: None,
            delivered: false,
            seen: LogPosition::default(),
            buffer: VecDeque::new(),
            right: FollowRight::unlimited(),
            ended: false,
        }
    }

    /// Asks access control, unless it was asked. The further pages ask for the same detail.
    async fn begin(&mut self) -> Result<ReadProgress, AuditError> {
        if let Some(progress) = self.progress {
            return Ok(progress);
        }
        let progress = match self.live {
            true => {
                let (detail, right) = self.plan.follow().await?;
                self.right = right;
                self.plan.begin_with(detail).await?
            }
            false => self.plan.begin().await?,
        };
        self.plan.keep(progress.detail);
        self.progress = Some(progress);
        Ok(progress)
    }

    async fn next(mut self) -> Option<(Result<AuditRow, AuditError>, Self)> {
        loop {
            if self.remaining == 0 {
                return None;
            }
            if let Some(end) = self.right.ended_by_now() {
                return Some(self.fail(end.into()));
            }
            if let Some(row) = self.buffer.pop_front() {
                self.remaining -= 1;
                self.cursor =
                    Some(self.plan.cursor_at(LogPosition { position: row.position, event_id: row.event_id }));
                return Some((Ok(row), self));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read().await {
                if self.live && error.is_closed() {
                    return None;
                }
                return Some(self.fail(error));
            }
        }
    }

    /// Ends the stream with an error.
    fn fail(mut self, error: AuditError) -> (Result<AuditRow, AuditError>, Self) {
        self.buffer.clear();
        self.ended = true;
        let cursor = self.cursor.filter(|_| self.live);
        (Err(error.with_cursor(cursor)), self)
    }

    /// Reads the next page, as long as the stream may be followed.
    async fn read(&mut self) -> Result<(), AuditError> {
        self.begin().await?;
        let mut right = std::mem::take(&mut self.right);
        let read = tokio::select! {
            biased;
            end = right.ended() => Err(end.into()),
            read = self.fill() => read,
        };
        self.right = right;
        read
    }

    /// Reads the next page. If it is empty, waits until another read may find rows.
    async fn fill(&mut self) -> Result<(), AuditError> {
        let mut progress = self.begin().await?;
        self.moves.note();
        let snapshots = Snapshots::of(&self.plan.reading, self.seen);
        let page = read_page(&self.plan, &mut progress, snapshots, self.remaining.min(CHUNK)).await?;
        self.seen = page.head;
        if self.delivered && !page.rows.is_empty() {
            self.plan.authorise(&page.rows).await?;
        }
        self.delivered = true;
        let complete = page.next.is_none();
        if complete && page.rows.is_empty() && page.head.position > 0 {
            self.cursor = Some(self.plan.cursor_at(page.head));
        }
        self.buffer.extend(page.rows);
        if !self.live {
            progress.newest.get_or_insert(page.head.position);
            self.ended = complete;
        }
        self.progress = Some(progress);
        if self.live && complete {
            self.ended = progress.over || self.over_by_now(page.head).await?;
            if !self.ended && self.buffer.is_empty() {
                self.wait(page.head).await?;
            }
        }
        Ok(())
    }

    /// Whether the end of the range is a time that has passed, and the audit log has applied all events of the log.
    async fn over_by_now(&mut self, seen: LogPosition) -> Result<bool, AuditError> {
        let Some(end) = self.plan.filter.until.and_then(|until| until.over_after()) else { return Ok(false) };
        if (self.plan.clock)().duration_since(end) < GRACE {
            return Ok(false);
        }
        Ok(self.plan.reading.log().head().await?.position <= seen.position)
    }

    /// Waits until the audit log has moved beyond `seen`, the range may have ended, or the application closes.
    async fn wait(&mut self, seen: LogPosition) -> Result<(), AuditError> {
        let ticking = self.plan.filter.until.and_then(|until| until.over_after()).is_some();
        tokio::select! {
            moved = self.moves.beyond(&self.plan.reading, seen) => self.ended = !moved?,
            () = tokio::time::sleep(TICK), if ticking => {}
        }
        Ok(())
    }
}
