//! [`RowBatch`]: rows that are read and serialised once for all subscribers.

use crate::events::LogPosition;
use crate::projections::audit::AuditRow;

/// Rows of a range of the log, each also as JSON.
pub(super) struct RowBatch {
    /// The last log position before the range.
    pub from: LogPosition,
    /// The last log position of the range.
    pub to: LogPosition,
    pub rows: Vec<AuditRow>,
    json: Vec<String>,
}

impl RowBatch {
    pub(super) fn new(from: LogPosition, to: LogPosition, rows: Vec<AuditRow>) -> Result<Self, serde_json::Error> {
        let json = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(Self { from, to, rows, json })
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
