//! [`RowBatch`]: rows that are read and serialised once for all subscribers.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::app::Annals;
use crate::events::LogPosition;
use crate::http::Problem;
use crate::projections::audit::{AuditRow, Detail};
use crate::store::{StoreError, read_some};

/// Rows of a range of the log, each also as JSON.
pub(super) struct RowBatch {
    /// The last log position before the range.
    pub from: LogPosition,
    /// The last log position of the range.
    pub to: LogPosition,
    pub rows: Vec<AuditRow>,
    json: Vec<String>,
    /// The same rows for readers of metadata, made when the first of them needs it.
    metadata: OnceCell<Arc<Self>>,
}

impl RowBatch {
    pub(super) fn new(from: LogPosition, to: LogPosition, rows: Vec<AuditRow>) -> Result<Self, serde_json::Error> {
        let json = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(Self { from, to, rows, json, metadata: OnceCell::new() })
    }

    /// The same rows for readers of metadata. The events are read from the log again, once for all of them.
    pub(super) async fn metadata(&self, annals: &Annals) -> Result<Arc<Self>, Problem> {
        self.metadata.get_or_try_init(|| self.read_metadata(annals)).await.cloned()
    }

    async fn read_metadata(&self, annals: &Annals) -> Result<Arc<Self>, Problem> {
        let positions: Vec<u64> = self.rows.iter().map(|row| row.position).collect();
        let (mut rows, mut rest) = (Vec::with_capacity(positions.len()), &positions[..]);
        while !rest.is_empty() {
            let (events, left) = read_some(&**annals.store(), rest).await?;
            rest = left;
            for stored in events {
                rows.push(AuditRow::with_detail(Detail::Metadata, annals.types(), stored)?);
            }
        }
        // The batch's rows are selected by their index.
        if rows.len() != self.rows.len()
            || rows.iter().zip(&self.rows).any(|(one, other)| one.event_id != other.event_id)
        {
            return Err(StoreError::Diverged(self.to).into());
        }
        let batch = Self::new(self.from, self.to, rows).map_err(|error| Problem::internal(&error))?;
        Ok(Arc::new(batch))
    }

    /// How many rows of the average size of these fit into `bytes`; at least 1.
    pub(super) fn rows_in(&self, bytes: usize) -> usize {
        let average = self.json.iter().map(String::len).sum::<usize>() / self.json.len().max(1);
        (bytes / average.max(1)).max(1)
    }

    /// The row at an index, as JSON.
    pub(super) fn json(&self, index: usize) -> &str {
        self.json.get(index).map_or("", String::as_str)
    }
}

/// The log position of a row.
pub(super) fn position_of(row: &AuditRow) -> LogPosition {
    LogPosition { position: row.position, event_id: row.event_id }
}
