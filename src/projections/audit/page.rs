//! [`AuditPage`], and how one is read: a few statements, however long the log and whatever is asked.

use serde::Serialize;

use super::plan::{Place, Plan};
use super::scan::{self, Scan};
use super::{AuditError, AuditRow, Cursor};
use crate::events::LogPosition;
use crate::store::{StoreError, ViewSnapshot};

/// A page of the audit log.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The rows, in the order asked for.
    pub rows: Vec<AuditRow>,
    /// Where the next page begins, if there may be more.
    pub next: Option<Cursor>,
    /// The place in the log that the page is true at.
    pub head: LogPosition,
}

/// The next page of at most `rows` rows. It moves `place`: to the last event that was looked at, or, if it was the last
/// page of an ascending query, to the head.
pub(super) async fn read_page(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
    rows: u64,
) -> Result<AuditPage, AuditError> {
    let head = snapshot.head();
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let Scan { rows, last, exhausted, .. } = scan::scan(plan, place, snapshot, wanted).await?;
    place.last = last.or(place.last);
    if exhausted && !plan.newest_first && !plan.by_occurrence {
        place.last = Some((0, place.last.map_or(0, |last| last.1).max(head.position)));
    }
    let next = match last.filter(|_| !exhausted) {
        None => None,
        Some((_, position)) => Some(plan.cursor(match rows.last() {
            Some(row) if row.position == position => LogPosition { position, event_id: row.event_id },
            _ => head_at(plan, position, head).await?,
        })),
    };
    Ok(AuditPage { rows, next, head })
}

/// The id of the event that was looked at last, though it is no row of the page.
async fn head_at(plan: &Plan, position: u64, head: LogPosition) -> Result<LogPosition, AuditError> {
    let event = plan.reading.log().read_at(&[position]).await?.pop();
    Ok(event.ok_or(StoreError::Diverged(head))?.head())
}
