//! [`OpenError`]: why an application cannot be opened.

use super::Unsound;
use crate::store::StoreError;

/// An error when an application is opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The parts of the application do not fit together.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A reaction cannot be started.
    #[error("the reaction `{name}` could not be started")]
    Reaction {
        /// The reaction's name.
        name: &'static str,
        /// The cause.
        source: crate::BoxError,
    },
    /// A feed cannot be started.
    #[cfg(feature = "feeds")]
    #[error("the feed `{name}` could not be started")]
    Feed {
        /// The feed's name.
        name: String,
        /// The cause.
        source: crate::BoxError,
    },
    /// The projections cannot be started.
    #[error("the projections could not be started")]
    Projections(#[source] crate::BoxError),
}
