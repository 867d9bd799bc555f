//! [`AuditSubscription`]: sends stored rows of the audit log at the client's pace, then the rows of the broadcast.

use std::sync::Arc;

use futures::stream::{self, BoxStream, ReadyChunks};
use futures::{FutureExt, StreamExt};
use tokio::sync::broadcast::error::RecvError;

use super::audit_broadcast::{AuditBroadcast, BatchReceiver};
use super::row_batch::{RowBatch, position_of};
use super::stream::{Rows, Subscription};
use super::{EndReason, LiveItem, StreamEnd, StreamLifetime};
use crate::events::LogPosition;
use crate::http::Problem;
use crate::projections::audit::{
    AuditError, AuditLog, AuditQuery, AuditQueryParams, AuditRow, Cursor, Detail, QueryPlan,
};
use crate::projections::presenter::{PresentError, PresentationParams};
use crate::projections::{FollowRight, QueryError, ReadError};
use crate::store::StoreError;

/// The most rows that are read at a time and held for a slow client, and their approximate size as JSON.
const MAX_ROWS: usize = 100;
const MAX_BYTES: usize = 256 * 1024;

pub(super) struct AuditSubscription {
    broadcast: Arc<AuditBroadcast>,
    query: AuditQuery,
    /// The language of sentences. None: as declared, as in the broadcast.
    words: Option<PresentationParams>,
    plan: QueryPlan,
    /// How much of each event is sent. None before the first read.
    detail: Option<Detail>,
    lifetime: StreamLifetime,
    /// The right to follow. A range has one of its own.
    right: FollowRight,
    /// How many rows are read at a time, adapted to their size.
    page_size: usize,
    /// How many rows may still be sent.
    remaining: u64,
    /// The log position up to which rows were examined.
    position: LogPosition,
    /// The rows that `open` read.
    first: Option<Rows>,
    source: Source,
}

/// Where the next rows come from.
enum Source {
    /// The store: not all stored rows are read yet. The receiver keeps newer batches.
    Stored(BatchReceiver),
    /// The broadcast: all stored rows are read.
    Live(BatchReceiver),
    /// A query of its own: a range with an end needs it to know when the range is complete.
    Range(ReadyChunks<BoxStream<'static, Result<AuditRow, AuditError>>>),
}

impl AuditSubscription {
    /// Reads the first page, so that an error is returned before the stream begins.
    pub(super) async fn open(
        broadcast: Arc<AuditBroadcast>,
        query: AuditQuery,
        asked: &AuditQueryParams,
        words: PresentationParams,
        lifetime: StreamLifetime,
    ) -> Result<Self, Problem> {
        let (cursor, remaining) = (asked.cursor, asked.limit.unwrap_or(u64::MAX));
        if remaining == 0 {
            return Err(QueryError::NoLimit.into());
        }
        let as_declared = words.apply(broadcast.annals().presenter())?.is_as_declared();
        let words = Some(words).filter(|_| !as_declared);
        let query = cursor.into_iter().fold(query, AuditQuery::cursor).followed();
        let plan = query.clone().live_plan()?;
        let position = cursor.map(|cursor| cursor.last()).unwrap_or_default();
        let source = Source::Stored(broadcast.subscribe());
        let page_size = MAX_ROWS / 10;
        let mut subscription = Self {
            broadcast,
            query,
            words,
            plan,
            detail: None,
            lifetime,
            right: FollowRight::unlimited(),
            page_size,
            remaining,
            position,
            first: None,
            source,
        };
        if subscription.plan.has_end() {
            // This page returns the errors: denied, or a cursor of another log. The stream reads it again.
            let page = subscription.query.clone().limit(1).page().await?;
            subscription.keep(page.detail)?;
            let rows = subscription.query.clone().limit(remaining).follow();
            subscription.source = Source::Range(rows.ready_chunks(MAX_ROWS / 10));
        } else {
            let (detail, right) = subscription.plan.follow().await?;
            subscription.keep(detail)?;
            subscription.right = right;
            subscription.first = subscription.page(false).await.map_err(Stop::into_problem)?;
        }
        Ok(subscription)
    }

    /// Has all further reads ask for the detail that the first was answered with.
    fn keep(&mut self, detail: Detail) -> Result<(), Problem> {
        self.detail = Some(detail);
        self.query = self.query.clone().detail(detail);
        self.plan = self.query.clone().live_plan()?;
        Ok(())
    }

    fn end(&self, reason: EndReason) -> LiveItem {
        LiveItem::End(StreamEnd::new(reason, self.cursor()))
    }

    /// The cursor to resume from.
    fn cursor(&self) -> Option<Cursor> {
        (self.position.position > 0).then(|| self.plan.cursor_at(self.position))
    }

    fn end_reason(&self) -> EndReason {
        let reading = self.broadcast.annals().reading(AuditLog::NAME);
        let closed = reading.is_ok_and(|reading| reading.closed().now_or_never().is_some());
        if closed && self.remaining > 0 { EndReason::Shutdown } else { EndReason::Done }
    }

    async fn read(&mut self) -> Result<Read, Stop> {
        if let Some(rows) = self.first.take() {
            return Ok(Read::Rows(rows));
        }
        if self.remaining == 0 {
            return Ok(Read::End);
        }
        match &mut self.source {
            Source::Stored(_) => Ok(self.page(true).await?.map_or(Read::Nothing, Read::Rows)),
            Source::Live(receiver) => match receiver.batches.recv().await {
                Ok(batch) => self.filter(batch).await,
                // The client lags behind the broadcast, or the broadcast has ended: the missed rows are stored.
                Err(RecvError::Lagged(_) | RecvError::Closed) => {
                    self.read_stored();
                    Ok(Read::Nothing)
                }
            },
            Source::Range(rows) => match rows.next().await {
                None => Ok(Read::End),
                Some(rows) => {
                    let rows: Vec<AuditRow> = rows.into_iter().collect::<Result<_, _>>()?;
                    let to = rows.last().map_or(self.position, position_of);
                    self.select_all(self.position, to, rows).await
                }
            },
        }
    }

    /// Switches to stored rows.
    fn read_stored(&mut self) {
        self.source = Source::Stored(self.broadcast.subscribe());
    }

    /// Reads the next page of stored rows. With `wait`, asks access control, and waits for the audit log to reach the start of
    /// the broadcast.
    async fn page(&mut self, wait: bool) -> Result<Option<Rows>, Stop> {
        let Source::Stored(receiver) = &self.source else { return Ok(None) };
        let start = receiver.start;
        let mut query = self.cursor().into_iter().fold(self.query.clone(), AuditQuery::cursor);
        query = query.limit(self.remaining.min(self.page_size as u64));
        query = if wait { query.after(start) } else { query.allowed() };
        let page = match query.page().await {
            Err(AuditError::Read(ReadError::Late { .. })) => return Ok(None),
            page => page?,
        };
        let from = self.position;
        let to = match page.next {
            Some(next) => next.last(),
            None if page.head.position > from.position => page.head,
            None => from,
        };
        let rows = match self.select_all(from, to, page.rows).await? {
            Read::Rows(rows) => Some(rows),
            Read::Nothing | Read::End => None,
        };
        if page.next.is_none() && page.head.position >= start.position {
            let source =
                std::mem::replace(&mut self.source, Source::Range(stream::empty().boxed().ready_chunks(1)));
            if let Source::Stored(receiver) = source {
                self.source = Source::Live(receiver);
            }
        }
        Ok(rows)
    }

    /// Selects all of these rows, in the requested language.
    async fn select_all(
        &mut self,
        from: LogPosition,
        to: LogPosition,
        mut rows: Vec<AuditRow>,
    ) -> Result<Read, Stop> {
        if let Some(words) = &self.words {
            words.apply_to_rows(self.broadcast.annals().presenter(), &mut rows).await?;
        }
        let batch = RowBatch::new(from, to, rows).map_err(|error| Problem::internal(&error))?;
        if !batch.rows.is_empty() {
            self.page_size = batch.rows_in(MAX_BYTES).min(MAX_ROWS);
        }
        let selected: Vec<usize> = (0..batch.rows.len()).collect();
        Ok(self.advance(Arc::new(batch), &selected))
    }

    /// Selects the rows of a broadcast batch that match the query.
    async fn filter(&mut self, batch: Arc<RowBatch>) -> Result<Read, Stop> {
        let (from, to) = (batch.from.position, batch.to.position);
        if to <= self.position.position {
            return Ok(Read::Nothing);
        }
        if from > self.position.position {
            self.read_stored();
            return Ok(Read::Nothing);
        }
        let wanted = |row: &AuditRow| row.position > self.position.position && self.plan.matches(row);
        let rows = batch.rows.iter().enumerate().filter(|(_, row)| wanted(row)).map(|(index, _)| index);
        let selected: Vec<usize> = rows.take(usize::try_from(self.remaining).unwrap_or(usize::MAX)).collect();
        let rows_at = |batch: &RowBatch| -> Vec<AuditRow> {
            selected.iter().filter_map(|index| batch.rows.get(*index)).cloned().collect()
        };
        match selected.len() {
            0 => return Ok(self.advance(batch, &selected)),
            all if all == batch.rows.len() => {
                self.plan.authorise(&batch.rows).await?;
            }
            _ => {
                self.plan.authorise(&rows_at(&batch)).await?;
            }
        }
        let shown = match self.detail {
            Some(Detail::Metadata) => batch.metadata(self.broadcast.annals()).await?,
            _ => batch,
        };
        match self.words {
            None => Ok(self.advance(shown, &selected)),
            Some(_) => self.select_all(shown.from, shown.to, rows_at(&shown)).await,
        }
    }

    /// Advances to the end of the batch, or to the last row if no further row may be sent.
    fn advance(&mut self, batch: Arc<RowBatch>, selected: &[usize]) -> Read {
        self.remaining -= selected.len() as u64;
        let with_cursor = |index: &usize| {
            let position = position_of(batch.rows.get(*index)?);
            Some((*index, position, self.plan.cursor_at(position)))
        };
        let selected: Vec<_> = selected.iter().filter_map(with_cursor).collect();
        self.position = match selected.last() {
            Some((_, position, _)) if self.remaining == 0 => *position,
            _ => batch.to,
        };
        match selected.is_empty() {
            true => Read::Nothing,
            false => {
                let selected = selected.into_iter().map(|(index, _, cursor)| (index, cursor)).collect();
                Read::Rows(Rows { batch, selected })
            }
        }
    }
}

impl Subscription for AuditSubscription {
    async fn next(&mut self) -> LiveItem {
        loop {
            let (mut lifetime, mut right) = (self.lifetime.clone(), std::mem::take(&mut self.right));
            let read = tokio::select! {
                biased;
                reason = lifetime.ended() => return self.end(reason),
                end = right.ended() => return LiveItem::End(StreamEnd::failed(end.into(), self.cursor())),
                read = self.read() => read,
            };
            self.right = right;
            match read {
                Ok(Read::Rows(rows)) => return LiveItem::Rows(rows),
                Ok(Read::Nothing) => {}
                Ok(Read::End) => return self.end(self.end_reason()),
                Err(Stop::Closed) => return self.end(EndReason::Shutdown),
                Err(Stop::Failed(problem)) => return LiveItem::End(StreamEnd::failed(*problem, self.cursor())),
            }
        }
    }
}

/// The result of one read.
enum Read {
    Rows(Rows),
    Nothing,
    End,
}

/// Why no further row can be read.
enum Stop {
    /// The application is closed.
    Closed,
    Failed(Box<Problem>),
}

impl Stop {
    fn into_problem(self) -> Problem {
        match self {
            Self::Closed => StoreError::Closed.into(),
            Self::Failed(problem) => *problem,
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Failed(Box::new(problem))
    }
}

impl From<AuditError> for Stop {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(StoreError::Closed) | AuditError::Read(ReadError::Store(StoreError::Closed)) => {
                Self::Closed
            }
            error => Problem::from(error).into(),
        }
    }
}

impl From<PresentError> for Stop {
    fn from(error: PresentError) -> Self {
        match error {
            PresentError::Store(StoreError::Closed) | PresentError::Read(ReadError::Store(StoreError::Closed)) => {
                Self::Closed
            }
            error => Problem::from(error).into(),
        }
    }
}
