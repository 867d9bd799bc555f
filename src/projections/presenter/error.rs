//! [`PresentError`].

use crate::events::DecodeError;
use crate::projections::ReadError;
use crate::store::StoreError;

/// An event cannot be presented.
#[derive(Debug, thiserror::Error)]
pub enum PresentError {
    /// This program cannot decode the event.
    #[error("event {position} cannot be read")]
    Decode {
        /// The position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
    /// This program cannot decode the event, and the reader may not see values of it.
    #[error("event {position} cannot be read: the cause may show values of it, so it needs the detail `full`")]
    Undecodable {
        /// The position.
        position: u64,
    },
    /// The application does not ship this language.
    #[error("the locale `{asked}` is not shipped with this application: use one of {shipped}")]
    NotShipped {
        /// The requested locale.
        asked: String,
        /// The shipped locales, in one text.
        shipped: String,
    },
    /// A translation cannot be formatted. The check when the application opens should have found it.
    #[error("the `{locale}` translation cannot be formatted: {reason}")]
    Translation {
        /// The language.
        locale: String,
        /// The message and the reason.
        reason: String,
    },
    /// The display names cannot be read, or did not catch up in time.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
