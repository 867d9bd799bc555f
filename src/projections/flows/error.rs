//! [`FlowError`].

use crate::projections::{QueryError, ReadError};
use crate::store::StoreError;

/// A query of flows failed.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The application does not keep flows.
    #[error("the application keeps no flows: turn them on with `App::flows`")]
    Off,
    /// The application has no rights in its log.
    #[error("the application has no rights in its log, so there are no grants: turn them on with `App::access`")]
    NoRights,
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A source or a sink is not one.
    #[error(
        "`{0}` is no place: write a reference (account:7), all references of a kind (account:*) or a topic (bank/eu)"
    )]
    NoPlace(String),
    /// The width is not a whole number of minutes, from 1 to 7 days.
    #[error("the width must be whole minutes, at least 1m and at most 7d")]
    NoWidth,
    /// The window has too many slices.
    #[error("the window has {slices} slices; the limit is {most}: shorten it, or give a greater width")]
    TooManySlices {
        /// Their number.
        slices: u64,
        /// The most.
        most: u64,
    },
    /// There are too many flows to compare each with its past.
    #[error("more than {most} counts would be compared: give a source, a sink or an actor, or a shorter window")]
    TooMuch {
        /// The most.
        most: usize,
    },
    /// Access control denied the query. Nothing was read.
    #[error("denied: {0}")]
    Denied(String),
    /// The tables cannot be read, or did not catch up in time.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
