//! [`PresentError`].

use crate::events::DecodeError;
use crate::projections::ReadError;
use crate::store::StoreError;

/// Why an event cannot be presented.
#[derive(Debug, thiserror::Error)]
pub enum PresentError {
    /// This program cannot read the event.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// The application does not speak this language.
    #[error("the locale `{asked}` is not shipped with this application: there are {shipped}")]
    NotShipped {
        /// What was asked for.
        asked: String,
        /// The locales that there are, in words.
        shipped: String,
    },
    /// A translation cannot be filled in: the check when the application opens is there to prevent it.
    #[error("the translation into `{locale}` fails: {reason}")]
    Translation {
        /// The language.
        locale: String,
        /// Which message, and why.
        reason: String,
    },
    /// The names cannot be read, or are not yet where they should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
