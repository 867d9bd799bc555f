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
    /// The key store of personal values cannot be opened.
    #[cfg(feature = "personal")]
    #[error("the keys of personal values cannot be used")]
    Keys(#[from] crate::personal::KeysError),
    /// The erasures of the log could not be read, or not be carried out again.
    #[cfg(feature = "personal")]
    #[error("the erasures of personal data could not be read")]
    Erasures(#[source] crate::BoxError),
    /// The log does not continue from the checkpoint that was given: see [`App::continues_from`](crate::app::App::continues_from).
    #[cfg(feature = "proofs")]
    #[error("the log cannot be compared with the checkpoint that was given, or does not continue from it")]
    Proofs(#[from] crate::proofs::ProofError),
    /// The projections cannot be started.
    #[error("the projections could not be started")]
    Projections(#[source] crate::BoxError),
}
