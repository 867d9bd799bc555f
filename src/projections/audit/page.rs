//! [`AuditPage`], and how one is read.

use serde::Serialize;

use super::plan::{QueryPlan, ReadProgress};
use super::scan::{self, Scan};
use super::snapshots::Snapshots;
use super::{AuditError, AuditRow, Cursor, Detail};
use crate::events::LogPosition;
use crate::store::StoreError;

/// A page of the audit log.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The rows, in the query's order.
    pub rows: Vec<AuditRow>,
    /// Where the next page begins; `null` on the last page.
    pub next: Option<Cursor>,
    /// The head of the log that the page covers.
    pub head: LogPosition,
    /// How much of each event the rows show.
    pub detail: Detail,
}

/// Reads the next page, of at most `rows` rows. Moves `progress` to the last event examined; at the last page of a query in
/// log order, to the head.
pub(super) async fn read_page(
    plan: &QueryPlan,
    progress: &mut ReadProgress,
    mut snapshots: Snapshots<'_>,
    rows: u64,
) -> Result<AuditPage, AuditError> {
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let candidates = scan::find(plan, progress, &mut *snapshots.lend().await?, wanted).await?;
    let head = candidates.head;
    let Scan { rows, last, exhausted, .. } = candidates.read(plan, wanted).await?;
    progress.last = last.or(progress.last);
    if exhausted && !plan.newest_first && !plan.by_occurrence {
        progress.last = Some((0, progress.last.map_or(0, |last| last.1).max(head.position)));
    }
    let next = match last.filter(|_| !exhausted) {
        None => None,
        Some((_, position)) => Some(plan.cursor_at(match rows.last() {
            Some(row) if row.position == position => LogPosition { position, event_id: row.event_id },
            _ => head_at(plan, position, head).await?,
        })),
    };
    Ok(AuditPage { rows, next, head, detail: progress.detail })
}

/// The position and id of the last event examined, which is not a row of the page.
async fn head_at(plan: &QueryPlan, position: u64, head: LogPosition) -> Result<LogPosition, AuditError> {
    let event = plan.reading.log().read_at(&[position]).await?.pop();
    Ok(event.ok_or(StoreError::Diverged(head))?.head())
}
