//! What Postgres says, as a [`StoreError`] that says what to do.

use super::place::Place;
use crate::store::StoreError;

impl Place {
    /// What Postgres says while `doing`. Nothing was written.
    pub(super) fn fault(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        StoreError::Database { doing, source: error.into() }
    }
}
