//! [`ProvenanceError`].

use crate::events::DecodeError;
use crate::projections::{QueryError, ReadError};
use crate::store::StoreError;

/// A query of provenance failed.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceError {
    /// The application does not keep provenance.
    #[error("the application keeps no provenance: turn it on with `App::provenance`")]
    Off,
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The depth is not between 1 and the most.
    #[error("a depth of {given} is not possible: give 1 to {most}")]
    Depth {
        /// The given depth.
        given: u8,
        /// The most.
        most: u8,
    },
    /// Access control denied the query. Nothing was read.
    #[error("denied: {0}")]
    Denied(String),
    /// The tables cannot be read, or did not catch up in time.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be decoded.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
}
