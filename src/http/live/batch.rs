//! [`Batch`]: rows that were made once, for all who want them.

use crate::events::LogPosition;
use crate::projections::audit::AuditRow;

/// Rows of a stretch of the log, and each as JSON.
pub(super) struct Batch {
    /// It stands for what comes after this place,
    pub from: LogPosition,
    /// up to this one.
    pub to: LogPosition,
    pub rows: Vec<AuditRow>,
    texts: Vec<String>,
}

impl Batch {
    pub(super) fn new(from: LogPosition, to: LogPosition, rows: Vec<AuditRow>) -> Result<Self, serde_json::Error> {
        let texts = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(Self { from, to, rows, texts })
    }

    /// How many rows like these make so many bytes.
    pub(super) fn rows_in(&self, bytes: usize) -> usize {
        let each = self.texts.iter().map(String::len).sum::<usize>() / self.texts.len().max(1);
        (bytes / each.max(1)).max(1)
    }

    /// The row at this index, as JSON.
    pub(super) fn text(&self, index: usize) -> &str {
        self.texts.get(index).map_or("", String::as_str)
    }
}

/// The place of a row in the log.
pub(super) fn place_of(row: &AuditRow) -> LogPosition {
    LogPosition { position: row.position, event_id: row.event_id }
}
