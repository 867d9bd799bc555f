//! [`AuditPage`], and how one is read: one statement to the audit log (with several filters two), one read of the log.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use super::filters::Filters;
use super::{AuditError, AuditRow, Cursor};
use crate::events::Head;
use crate::projections::{Bound, QueryError, Reading};
use crate::store::{Cell, Clock, StoreError, ViewSnapshot};

const USUAL_ROWS: u64 = 50;
const MOST_ROWS: u64 = 1_000;

/// A page of the audit log.
#[derive(Clone, Debug, Serialize)]
pub struct AuditPage {
    /// The rows, in the order asked for.
    pub rows: Vec<AuditRow>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
    /// The place in the log that the page is true at.
    pub head: Head,
}

/// A question that makes sense.
pub(super) struct Plan {
    pub reading: Reading,
    pub filters: Filters,
    pub from: Option<Bound>,
    pub until: Option<Bound>,
    pub newest_first: bool,
    pub limit: Option<u64>,
    pub cursor: Option<Cursor>,
    pub after: Option<(Head, Duration)>,
    pub clock: Clock,
    pub fingerprint: [u8; 8],
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// The last position that was seen.
    pub last: Option<u64>,
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

    pub(super) fn cursor(&self, last: Head) -> Cursor {
        Cursor::new(last, self.fingerprint)
    }

    /// Waits for the caller's own write and looks whether the cursor is of this log.
    pub(super) async fn begin(&self) -> Result<Place, AuditError> {
        if let Some((head, patience)) = self.after {
            self.reading.caught_up(head, Some(patience)).await?;
        }
        let Some(cursor) = self.cursor else { return Ok(Place::default()) };
        let last = cursor.last();
        let event = self.reading.log().at(&[last.position]).await?.pop();
        if event.is_none_or(|event| event.head() != last) {
            return Err(StoreError::Diverged(last).into());
        }
        Ok(Place { last: Some(last.position), ..Place::default() })
    }

    /// The positions that are wanted, of those up to `head`.
    async fn range(&self, place: &mut Place, head: u64) -> Result<Range<u64>, AuditError> {
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
            place.over = bound <= head || matches!(until, Bound::Position(end) if end <= head.saturating_add(1));
            if let Some(from) = self.from.filter(|_| bound <= head && start > bound) {
                return Err(QueryError::EndBeforeStart { from, until }.into());
            }
            end = end.min(bound);
        }
        if let Some(newest) = place.newest {
            end = end.min(newest.saturating_add(1));
        }
        Ok(match place.last {
            Some(last) if self.newest_first => start..end.min(last),
            Some(last) => start.max(last.saturating_add(1))..end,
            None => start..end,
        })
    }
}

/// The next page of at most `rows` rows. It moves `place`: to its last row, or, if it was the last page of an
/// ascending query, to the head.
pub(super) async fn read_page(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
    rows: u64,
) -> Result<AuditPage, AuditError> {
    let head = snapshot.head();
    // Bounds are looked up after the snapshot was taken: the log is not behind it.
    let range = plan.range(place, head.position).await?;
    let mut positions = Vec::new();
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    if range.start < range.end {
        let limit = wanted.saturating_add(1);
        let driving = rarest(&plan.filters, &range, snapshot).await?;
        let (sql, parameters) = plan.filters.statement(driving, &range, plan.newest_first, limit, snapshot);
        let found = snapshot.query(&sql, parameters).await?;
        positions.extend(found.iter().filter_map(|row| u64::try_from(row.first().and_then(Cell::integer)?).ok()));
    }
    let more = positions.len() > wanted;
    positions.truncate(wanted);
    let events = if positions.is_empty() { Vec::new() } else { plan.reading.log().at(&positions).await? };
    if events.len() != positions.len() {
        return Err(StoreError::Diverged(head).into());
    }
    let types = plan.reading.types();
    let mut rows: Vec<AuditRow> =
        events.into_iter().map(|event| AuditRow::new(types, event)).collect::<Result<_, _>>()?;
    if plan.newest_first {
        rows.reverse();
    }
    let last = rows.last().map(|row| Head { position: row.position, event_id: row.event_id });
    place.last = last.map(|last| last.position).or(place.last);
    if !more && !plan.newest_first {
        place.last = place.last.max(Some(head.position));
    }
    let next = last.filter(|_| more).map(|last| plan.cursor(last));
    Ok(AuditPage { rows, next, head })
}

/// Which of several filters lets the fewest events through.
pub(super) async fn rarest(
    filters: &Filters,
    range: &Range<u64>,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<usize, StoreError> {
    let Some((sql, parameters)) = filters.census(range, snapshot) else { return Ok(0) };
    let counts = snapshot.query(&sql, parameters).await?;
    let counts = counts.first().into_iter().flatten().map(|cell| cell.integer().unwrap_or(i64::MAX));
    Ok(counts.enumerate().min_by_key(|(_, count)| *count).map_or(0, |(driving, _)| driving))
}
