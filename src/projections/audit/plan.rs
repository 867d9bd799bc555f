//! [`Plan`]: a question that makes sense, and how far its reader has come.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::filters::Filters;
use super::sql::{Moment, Window};
use super::{AuditAccess, AuditError, AuditRow, Cursor, Question};
use crate::events::LogPosition;
use crate::projections::{QueryError, RangeBound, Reading};
use crate::store::{Clock, StoreError};

const USUAL_ROWS: u64 = 50;
const MOST_ROWS: u64 = 1_000;

/// A question that makes sense.
pub(super) struct Plan {
    pub reading: Reading,
    pub filters: Filters,
    pub from: Option<RangeBound>,
    pub until: Option<RangeBound>,
    /// Times of occurrence, in microseconds.
    pub occurred: Option<Range<i64>>,
    pub by_occurrence: bool,
    pub newest_first: bool,
    pub limit: Option<u64>,
    pub cursor: Option<Cursor>,
    pub after: Option<(LogPosition, Duration)>,
    pub clock: Clock,
    pub fingerprint: [u8; 8],
    /// Who is told of the question, and the question.
    pub access: Option<(Arc<dyn AuditAccess>, Question)>,
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// The last event that was looked at.
    pub last: Option<Moment>,
    /// The position after which nothing is wanted, however the log grows.
    pub newest: Option<u64>,
    /// Where the range begins, once an event is there to say it.
    pub start: Option<u64>,
    /// Whether no event that comes can be before the range's end.
    pub over: bool,
}

impl Plan {
    pub(super) fn page_rows(&self) -> u64 {
        self.limit.unwrap_or(USUAL_ROWS).min(MOST_ROWS)
    }

    pub(super) fn cursor(&self, last: LogPosition) -> Cursor {
        Cursor::new(last, self.fingerprint)
    }

    /// Tells the access control that somebody asks, or is about to get these rows.
    pub(super) async fn tell(&self, rows: &[AuditRow]) -> Result<(), AuditError> {
        match &self.access {
            Some((access, question)) => access.asked(question, rows).await,
            None => Ok(()),
        }
    }

    /// Tells the access control, waits for the caller's own write and looks whether the cursor is of this log.
    pub(super) async fn begin(&self) -> Result<Place, AuditError> {
        self.tell(&[]).await?;
        if let Some((head, patience)) = self.after {
            self.reading.caught_up(head, Some(patience)).await?;
        }
        Ok(Place { last: self.last().await?, ..Place::default() })
    }

    /// What the cursor stands for, if there is one: it has to be of this log.
    pub(super) async fn last(&self) -> Result<Option<Moment>, AuditError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let last = cursor.last();
        let event = self.reading.log().read_at(&[last.position]).await?.pop();
        match event.filter(|event| event.head() == last) {
            Some(event) => Ok(Some(moment(event.occurred_at, event.position))),
            None => Err(StoreError::Diverged(last).into()),
        }
    }

    /// What is wanted, of the events up to `head`.
    pub(super) async fn window(&self, place: &mut Place, head: u64) -> Result<Window, AuditError> {
        let log = &**self.reading.log();
        let start = match (place.start, self.from) {
            (Some(start), _) => start,
            (None, None) => 1,
            (None, Some(from)) => from.position(log).await?,
        };
        if start <= head {
            place.start = Some(start);
        }
        let mut end = head.saturating_add(1);
        if let Some(until) = self.until {
            let bound = until.position(log).await?;
            // At the head it is certain, for a position; else an event must be there to say it.
            place.over =
                bound <= head || matches!(until, RangeBound::Position(end) if end <= head.saturating_add(1));
            if let Some(from) = self.from.filter(|_| bound <= head && start > bound) {
                return Err(QueryError::EndBeforeStart { from, until }.into());
            }
            end = end.min(bound);
        }
        if let Some(newest) = place.newest {
            end = end.min(newest.saturating_add(1));
        }
        let moments = self.by_occurrence.then(|| {
            let occurred = self.occurred.clone().unwrap_or(i64::MIN..i64::MAX);
            (occurred.start, 0)..(occurred.end, 0)
        });
        let mut window = Window { positions: start..end, moments, newest_first: self.newest_first };
        if let Some(last) = place.last {
            window.go_on_after(last);
        }
        Ok(window)
    }
}

impl Window {
    /// Leaves out what lies up to `last`, in its order.
    pub(super) fn go_on_after(&mut self, last: Moment) {
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

pub(super) fn moment(occurred: Timestamp, position: u64) -> Moment {
    (occurred.as_microsecond(), position)
}

pub(super) fn moment_of(row: &AuditRow) -> Moment {
    moment(row.occurred_at, row.position)
}
