//! [`AuditError`].

use super::AuditLog;
use crate::events::DecodeError;
use crate::projections::{QueryError, ReadError, UnknownEvent};
use crate::store::StoreError;

/// An audit query failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Access control denied the query. Nothing was read.
    #[error("denied: {reason}")]
    Denied {
        /// The reason.
        reason: String,
    },
    /// The audit log cannot be read, or did not catch up in time.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read, or is not the one that the cursor was made from.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This program cannot decode an event of the result.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
    /// This program cannot decode an event of the result, and the caller may not see values of it.
    #[error("event {position} cannot be read: the cause may show values of it, so it needs the detail `full`")]
    Undecodable {
        /// Its position.
        position: u64,
    },
}

impl AuditError {
    /// An event that cannot be decoded. One of an unknown type was applied by a newer program, which can answer the query.
    pub(super) fn from_decode(position: u64, source: DecodeError) -> Self {
        match source {
            DecodeError::UnknownType(event_type) => {
                let unknown = UnknownEvent { position, event_type };
                Self::Read(ReadError::Waiting { name: AuditLog::NAME.to_owned(), unknown })
            }
            source => Self::Decode { position, source },
        }
    }

    /// The same without its cause, which may repeat values of the event.
    pub(super) fn without_values(self) -> Self {
        match self {
            Self::Decode { position, .. } => Self::Undecodable { position },
            other => other,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}
