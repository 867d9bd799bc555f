//! [`AuditError`].

use super::AuditLog;
use crate::events::DecodeError;
use crate::projections::{QueryError, ReadError, UnknownEvent};
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
    /// An event that cannot be read; of an unknown type, a newer program took it in, and can be asked.
    pub(super) fn at_event(position: u64, source: DecodeError) -> Self {
        match source {
            DecodeError::UnknownType(event_type) => {
                let unknown = UnknownEvent { position, event_type };
                Self::Read(ReadError::Waiting { name: AuditLog::NAME.to_owned(), unknown })
            }
            source => Self::Decode { position, source },
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}
