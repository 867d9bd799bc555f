//! [`FeedError`].

use crate::aggregates::LoadError;
use crate::commands::{ExecuteError, Refusal};
use crate::store::StoreError;
use crate::text::name_list;

/// The longest reason of a pause or a resume, in bytes.
pub(crate) const MAX_WHY_BYTES: usize = 1_000;

/// An error when a feed is asked for or operated.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The application has no such feed.
    #[error("there is no feed `{name}`: there are {}", name_list(.known))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The names of the application's feeds.
        known: Vec<String>,
    },
    /// There is no reason, or it is too long.
    #[error("say why, in at most {MAX_WHY_BYTES} bytes")]
    Why,
    /// The position is not one at which a feed can go on.
    #[error("a feed can go on from event 1 to {}, and not from {from}", .head + 1)]
    From {
        /// The position in the request.
        from: u64,
        /// The head of the log.
        head: u64,
    },
    /// The record of the feed cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The decision was not recorded.
    #[error(transparent)]
    Execute(#[from] ExecuteError<Refusal>),
}
