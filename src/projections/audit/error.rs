//! [`AuditError`].

use super::{AuditLog, Cursor, Detail};
use crate::events::DecodeError;
use crate::projections::{FollowEnd, QueryError, ReadError, UnknownEvent};
use crate::store::StoreError;

/// An audit query failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Access control denied the query, and nothing was read; or a query that is followed, which ends.
    #[error("denied: {reason}")]
    Denied {
        /// The reason.
        reason: String,
        /// For a query that is followed: where it can be continued. `None` if it has read nothing.
        cursor: Option<Cursor>,
    },
    /// A query that is followed ended, because it was not certain for two seconds that it is still allowed.
    #[error("{}", FollowEnd::Unconfirmed)]
    Unconfirmed {
        /// Where it can be continued. `None` if it has read nothing.
        cursor: Option<Cursor>,
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

    /// The same with the cursor to continue from, if it ends a followed query.
    pub(super) fn with_cursor(self, cursor: Option<Cursor>) -> Self {
        match self {
            Self::Denied { reason, .. } => Self::Denied { reason, cursor },
            Self::Unconfirmed { .. } => Self::Unconfirmed { cursor },
            other => other,
        }
    }

    /// The same as a reader with this detail may see it: with metadata without the cause, which may repeat values of the event.
    pub(super) fn with_detail(self, detail: Detail) -> Self {
        match self {
            Self::Decode { position, .. } if detail == Detail::Metadata => Self::Undecodable { position },
            other => other,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}

/// The end of a followed query, without its cursor.
impl From<FollowEnd> for AuditError {
    fn from(end: FollowEnd) -> Self {
        match end {
            FollowEnd::Denied(reason) => Self::Denied { reason, cursor: None },
            FollowEnd::Unconfirmed => Self::Unconfirmed { cursor: None },
        }
    }
}
