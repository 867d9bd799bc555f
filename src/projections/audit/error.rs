//! [`AuditError`].

use crate::events::DecodeError;
use crate::projections::{QueryError, ReadError};
use crate::store::StoreError;

/// Why the audit log does not answer.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The question cannot be answered as it is put.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The application's authoriser says no. Nothing was read.
    #[error("denied: {reason}")]
    Denied {
        /// Why.
        reason: String,
    },
    /// The audit log cannot be read, or is not yet where it should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read, or is not the one that a cursor came from.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event in the answer cannot be read by this program.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// Why.
        source: DecodeError,
    },
}

impl AuditError {
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}
