//! Parts that all queries for documents share: waiting for a write, and decoding a stored document.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::events::LogPosition;
use crate::projections::{ReadError, Reading};
use crate::store::Cell;

/// The default time that a read waits for a write.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The position that a read waits for, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub after: Option<LogPosition>,
    pub within: Duration,
}

impl Wait {
    pub const NONE: Self = Self { after: None, within: PATIENCE };

    pub async fn over(&self, reading: &Reading) -> Result<(), ReadError> {
        match self.after {
            Some(head) => reading.caught_up(head, Some(self.within)).await,
            None => Ok(()),
        }
    }
}

/// The document of a stored body.
pub(super) fn parse<D: DeserializeOwned>(reading: &Reading, key: &str, body: &str) -> Result<D, ReadError> {
    serde_json::from_str(body).map_err(|source| ReadError::Document {
        name: reading.name().to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// The text of a cell; empty for any other value.
pub(super) fn text(cell: Cell) -> String {
    match cell {
        Cell::Text(text) => text,
        _ => String::new(),
    }
}
