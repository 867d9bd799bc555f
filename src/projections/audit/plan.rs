//! [`QueryPlan`]: a checked query; [`ReadProgress`]: how far its reader has come.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::sql::{OccurrenceKey, Window};
use super::{AuditAccess, AuditError, AuditFilter, AuditRequest, AuditRow, Cursor, Detail};
use crate::events::LogPosition;
use crate::projections::{FollowRight, QueryError, RangeBound, Reading};
use crate::store::{Clock, StoreError, named_event};

const DEFAULT_ROWS: u64 = 50;
const MAX_ROWS: u64 = 1_000;

/// A checked query. It also applies the query to rows that another reader has read, so that many followers can share one
/// reader of the log: see [`AuditQuery::live_plan`](super::AuditQuery::live_plan).
pub struct QueryPlan {
    pub(super) reading: Reading,
    pub(super) filter: AuditFilter,
    pub(super) by_occurrence: bool,
    pub(super) newest_first: bool,
    pub(super) shortened: bool,
    /// Whether personal values stay sealed.
    pub(super) sealed: bool,
    pub(super) limit: Option<u64>,
    pub(super) cursor: Option<Cursor>,
    pub(super) after: Option<(LogPosition, Duration)>,
    pub(super) clock: Clock,
    pub(super) fingerprint: [u8; 8],
    pub(super) detail: Option<Detail>,
    pub(super) access: Option<(Arc<dyn AuditAccess>, AuditRequest)>,
}

/// How far the reader of a query has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadProgress {
    /// The last event examined.
    pub last: Option<OccurrenceKey>,
    /// The head when the stream began, if it ends there although the log grows.
    pub newest: Option<u64>,
    /// The position at which the range begins, once the log holds an event to determine it.
    pub start: Option<u64>,
    /// Whether the range has ended: no future event can be in it.
    pub over: bool,
    /// How much of each event the caller sees.
    pub detail: Detail,
}

impl QueryPlan {
    pub(super) fn page_rows(&self) -> u64 {
        self.limit.unwrap_or(DEFAULT_ROWS).min(MAX_ROWS)
    }

    /// Whether the filter selects this row. Limit and cursor are not considered.
    #[must_use]
    pub fn matches(&self, row: &AuditRow) -> bool {
        self.filter.matches(row)
    }

    /// Whether the range has an end, after which no row can match.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.filter.until.is_some()
    }

    /// The cursor of the query that continues after this event, whether or not the event matches.
    #[must_use]
    pub fn cursor_at(&self, last: LogPosition) -> Cursor {
        Cursor::new(last, self.fingerprint)
    }

    /// Asks access control whether the query may begin (no rows), or these rows may be delivered. Returns how much of each
    /// event the caller sees.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn authorise(&self, rows: &[AuditRow]) -> Result<Detail, AuditError> {
        match &self.access {
            Some((access, request)) => access.asked(request, rows).await,
            None => Ok(self.detail.unwrap_or_default()),
        }
    }

    /// Asks access control whether the query may be followed live. Returns how much of each event the caller sees, and the right
    /// to follow.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn follow(&self) -> Result<(Detail, FollowRight), AuditError> {
        match &self.access {
            Some((access, request)) => access.follow(request).await,
            None => Ok((self.detail.unwrap_or_default(), FollowRight::unlimited())),
        }
    }

    /// Has the further pages ask for this detail.
    pub(super) fn keep(&mut self, detail: Detail) {
        self.detail = Some(detail);
        if let Some((_, request)) = &mut self.access {
            request.detail = Some(detail);
        }
    }

    /// Checks that the query's cursor, if it has one, belongs to this log. Access control is not asked.
    ///
    /// # Errors
    /// When it does not, or the log cannot be read.
    pub async fn check_cursor(&self) -> Result<(), AuditError> {
        self.last().await.map(drop)
    }

    /// Asks access control, waits for the caller's own write, and checks the cursor.
    pub(super) async fn begin(&self) -> Result<ReadProgress, AuditError> {
        self.begin_with(self.authorise(&[]).await?).await
    }

    /// The same after access control was asked.
    pub(super) async fn begin_with(&self, detail: Detail) -> Result<ReadProgress, AuditError> {
        if let Some((head, patience)) = self.after {
            self.reading.caught_up(head, Some(patience)).await?;
        }
        Ok(ReadProgress { last: self.last().await?, detail, ..ReadProgress::default() })
    }

    /// The event of the cursor, if there is one. It has to be in this log.
    pub(super) async fn last(&self) -> Result<Option<OccurrenceKey>, AuditError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let last = cursor.last();
        match named_event(&**self.reading.log(), last).await? {
            Some(event) => Ok(Some(occurrence_key(event.occurred_at, event.position))),
            None => Err(StoreError::Diverged(last).into()),
        }
    }

    /// The part of the log up to `head` that is still to be read.
    pub(super) async fn window(&self, progress: &mut ReadProgress, head: u64) -> Result<Window, AuditError> {
        let log = &**self.reading.log();
        let start = match (progress.start, self.filter.from) {
            (Some(start), _) => start,
            (None, None) => 1,
            (None, Some(from)) => from.position(log).await?,
        };
        if start <= head {
            progress.start = Some(start);
        }
        let mut end = head.saturating_add(1);
        if let Some(until) = self.filter.until {
            let bound = until.position(log).await?;
            // A position is certain up to the head; an id or a time only once the log holds an event at or after it.
            progress.over =
                bound <= head || matches!(until, RangeBound::Position(end) if end <= head.saturating_add(1));
            if let Some(from) = self.filter.from.filter(|_| bound <= head && start > bound) {
                return Err(QueryError::EndBeforeStart { from, until }.into());
            }
            end = end.min(bound);
        }
        if let Some(newest) = progress.newest {
            end = end.min(newest.saturating_add(1));
        }
        let moments = self.by_occurrence.then(|| {
            let occurred = self.filter.occurred().unwrap_or(i64::MIN..i64::MAX);
            (occurred.start, 0)..(occurred.end, 0)
        });
        let mut window = Window { positions: start..end, moments, newest_first: self.newest_first };
        if let Some(last) = progress.last {
            window.continue_after(last);
        }
        Ok(window)
    }
}

impl std::fmt::Debug for QueryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueryPlan").field("filter", &self.filter).finish_non_exhaustive()
    }
}

impl Window {
    /// Removes everything up to `last`, in the order of the window.
    pub(super) fn continue_after(&mut self, last: OccurrenceKey) {
        let next = (last.0, last.1.saturating_add(1));
        match (&mut self.moments, self.newest_first) {
            (Some(moments), false) => moments.start = moments.start.max(next),
            (Some(moments), true) => moments.end = moments.end.min(last),
            (None, false) => self.positions.start = self.positions.start.max(next.1),
            (None, true) => self.positions.end = self.positions.end.min(last.1),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty() || self.moments.as_ref().is_some_and(Range::is_empty)
    }
}

pub(super) fn occurrence_key(occurred: Timestamp, position: u64) -> OccurrenceKey {
    (occurred.as_microsecond(), position)
}
