//! [`PersonalKeys`]: what seals and opens values, with the keys that are in memory.

use futures::future::BoxFuture;

use super::Envelope;
use crate::BoxError;
use crate::events::Ref;

/// Why a personal value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key store does not answer, or cannot be written.
    #[error("the key store {store} failed while {doing}")]
    Store {
        /// The key store.
        store: String,
        /// The operation that failed, like "reading a key".
        doing: &'static str,
        /// The cause.
        source: BoxError,
    },
    /// The key store does not have the key of a value, nor a record that it was destroyed.
    #[error(
        "the key store {store} does not have the key of {subject}, and does not say that it was destroyed: is it the key store of \
         this log, and complete?"
    )]
    Lost {
        /// The key store.
        store: String,
        /// The subject.
        subject: Ref,
    },
    /// The value was changed after it was sealed.
    #[error("a sealed value of {subject} ({place}) does not open with its key: it was changed after it was sealed")]
    Damaged {
        /// The subject.
        subject: Ref,
        /// The event type and field as which it was sealed.
        place: String,
    },
    /// The value opens, but is not of the type that the program expects.
    #[error("a sealed value of {subject} has another type than the program expects")]
    Type {
        /// The subject.
        subject: Ref,
    },
    /// This process does not know whether the subject was erased meanwhile.
    #[error(
        "this process has not been able to read the log for 5 seconds: it opens no personal value until it can, since the value \
         may have been erased"
    )]
    Behind,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Random(String),
    /// A decision needs other keys each time it is made.
    #[error("a command needs other keys each time it is decided: its handler must be the same each time")]
    Unsettled,
}

/// What opening an envelope gives.
#[cfg_attr(not(feature = "personal"), allow(dead_code, reason = "the key ring makes them"))]
pub(crate) enum Opening {
    /// The value, as JSON.
    Value(String),
    /// Its key was destroyed.
    Erased,
    /// Its key is not in memory.
    NoKey,
    /// It cannot be opened.
    Failed(KeyError),
}

/// The keys of subjects. Sealing and opening use those that are in memory; loading them may wait for a key store.
pub(crate) trait PersonalKeys: Send + Sync {
    /// Seals a JSON text; `None` if the subject's key is not in memory.
    ///
    /// # Errors
    /// When there are no random bytes.
    fn seal(&self, of: &Ref, event_type: &str, field: &str, text: &str) -> Result<Option<Envelope>, KeyError>;

    /// Opens an envelope.
    fn open(&self, envelope: &Envelope) -> Opening;

    /// HMAC of these parts under the subject's key; `None` if it is not in memory.
    fn digest(&self, of: &Ref, parts: &[&str]) -> Option<[u8; 32]>;

    /// Whether the subject is known to be erased.
    fn is_erased(&self, of: &Ref) -> bool;

    /// Loads the keys of these subjects into memory, if they have one.
    fn load(&self, of: Vec<Ref>) -> BoxFuture<'_, Result<(), KeyError>>;

    /// Loads the keys of these subjects into memory, and creates those that are missing: when it returns, they are durable. Returns
    /// the subjects that are erased, which get no key.
    fn provide(&self, of: Vec<Ref>) -> BoxFuture<'_, Result<Vec<Ref>, KeyError>>;

    /// The error when a sealed value exists and the key store does not have the key of its subject.
    fn lost(&self, subject: Ref) -> KeyError;
}
