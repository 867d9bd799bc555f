//! [`for_each_item`]: the rows of a page, with what a format needs to write them.

use std::sync::Arc;

use super::ExportError;
use super::encode::Item;
use crate::events::{Described, Known, LogPosition, Types};
use crate::projections::audit::{AuditError, AuditRow, Detail};
use crate::projections::presenter::{Presentation, Presenter};
use crate::store::{Store, StoreError};

/// Calls `write` for each row, in their order. It reads the events from the log once, and presents them if there is a presenter.
pub(super) async fn for_each_item(
    log: &Arc<dyn Store>,
    types: &Arc<Types>,
    presenter: Option<&Presenter>,
    detail: Detail,
    rows: &[AuditRow],
    head: LogPosition,
    mut write: impl FnMut(&Item<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
    positions.sort_unstable();
    let events = log.read_at(&positions).await?;
    let mut presentations: Vec<Presentation> = match presenter {
        Some(presenter) => presenter.present(&events).await?,
        None => Vec::new(),
    };
    presentations.sort_unstable_by_key(|presentation| presentation.position);
    let mut facts: Vec<(&Known, Described)> = Vec::with_capacity(events.len());
    if detail == Detail::Full {
        types.load_keys(&events).await;
    }
    for stored in &events {
        let position = stored.position;
        let decode = |source| match detail {
            Detail::Full => ExportError::Decode { position, source },
            Detail::Metadata => AuditError::Undecodable { position }.into(),
        };
        let known = types.of(stored).map_err(decode)?;
        let mut described = types.opened(|| known.describe(stored)).map_err(decode)?;
        if detail == Detail::Metadata {
            let is_target = |name| known.declaration.fields.iter().any(|it| it.target && it.name == name);
            described.facts.retain(|(name, _)| is_target(*name));
        }
        facts.push((known, described));
    }
    for row in rows {
        let at = positions.binary_search(&row.position).unwrap_or(usize::MAX);
        let same = events.get(at).is_some_and(|stored| stored.event_id == row.event_id);
        let Some((known, described)) = facts.get(at).filter(|_| same) else {
            return Err(StoreError::Diverged(head).into());
        };
        write(&Item { row, known, described, presentation: presentations.get(at) })?;
    }
    Ok(())
}
