//! [`EraseError`]: why a subject was not erased.

use crate::commands::ExecuteError;
use crate::events::Ref;
use crate::events::personal::KeyError;
use crate::store::StoreError;

/// An error of an erasure.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The application has no personal values.
    #[error("this application has no personal data")]
    Off,
    /// There is no reason, or it is too long.
    #[error(
        "an erasure needs a reason of 1 to 1,000 bytes, which stays in the log: do not write personal data into it"
    )]
    Reason,
    /// The subject is a record of this crate.
    #[error("{0} is a record of annals itself: it has no personal data")]
    Reserved(Ref),
    /// The decision could not be recorded. Nothing was erased.
    #[error("the erasure could not be recorded")]
    Execute(#[from] ExecuteError<std::convert::Infallible>),
    /// The decision is recorded, and the key is not destroyed yet. It is tried again until it is, also after a restart.
    #[error(
        "the erasure of {subject} is decided, but its key is not destroyed yet ({problem}): it is tried again, also after a restart"
    )]
    NotDestroyed {
        /// The subject.
        subject: Ref,
        /// Why not.
        problem: String,
    },
    /// The keys of subjects that the log calls erased could not be destroyed again.
    #[error("the log says that {subject} is erased, and its key could not be destroyed again")]
    Keys {
        /// The subject, or the first one.
        subject: Ref,
        /// The cause.
        source: KeyError,
    },
    /// The key store could not be read.
    #[error(transparent)]
    KeyStore(KeyError),
    /// The decision is recorded, and the erasure was not complete when the caller stopped waiting. It continues.
    #[error("the erasure of {0} is decided and continues: `erase status` shows when it is complete")]
    Unfinished(Ref),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
