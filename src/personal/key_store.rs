//! [`KeyStore`]: where the keys of subjects lie. [`SubjectKey`]: one of them.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::cipher;
use crate::BoxError;
use crate::events::Ref;
use crate::events::personal::KeyError;

/// An error of a key store.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeyStoreError(#[from] pub BoxError);

/// The key of one subject: an id, which sealed values carry, and 32 secret bytes. They are overwritten in memory when it is dropped.
#[derive(Clone)]
pub struct SubjectKey {
    id: String,
    secret: Zeroizing<[u8; 32]>,
}

impl SubjectKey {
    /// A new key of random bytes.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        cipher::random(&mut *secret)?;
        let mut id = [0; 8];
        cipher::random(&mut id)?;
        Ok(Self { id: crate::text::hex(&id), secret })
    }

    /// A key that a key store has. The id has 1 to 64 letters, digits, `-` and `_`; `None` if it has others.
    #[must_use]
    pub fn new(id: &str, secret: [u8; 32]) -> Option<Self> {
        let secret = Zeroizing::new(secret);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_id = (1..=64).contains(&id.len()) && id.bytes().all(is_letter);
        is_id.then(|| Self { id: id.to_owned(), secret })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret bytes.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a key store has of a subject.
#[derive(Clone, Debug)]
pub enum StoredKey {
    /// Its key.
    Key(SubjectKey),
    /// The record that its key was destroyed: it never gets another one.
    Erased,
}

/// What a key store says about a subject, without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// The subject.
    pub subject: Ref,
    /// The id of its key; `None` if it was destroyed.
    pub key: Option<String>,
    /// When the key was made, or the record of an erasure without one.
    pub created_at: Timestamp,
    /// When the key was destroyed.
    pub erased_at: Option<Timestamp>,
}

/// A place for the keys of subjects, apart from the log: a file, a database of another server, a key management service.
///
/// Everything that it answers is durable: a key that was lost makes values unreadable for ever. A destroyed key leaves a record, and
/// never comes back. Several processes may use one key store at once.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Returns what it has of each of these subjects, in their order.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn find(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, KeyStoreError>;

    /// Returns what it has of each of these subjects, in their order, and creates the keys that are missing. Of several callers who
    /// create a key of one subject at once, all get the same.
    ///
    /// # Errors
    /// When it cannot be written.
    async fn find_or_create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, KeyStoreError>;

    /// Destroys the keys of these subjects, and records that. Returns for each whether it had a key until now.
    ///
    /// # Errors
    /// When it cannot be written: then nothing counts as destroyed.
    async fn destroy(&self, subjects: &[Ref]) -> Result<Vec<bool>, KeyStoreError>;

    /// Lists at most `limit` subjects after this one, in their order.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn list(&self, after: Option<&Ref>, limit: usize) -> Result<Vec<KeyInfo>, KeyStoreError>;

    /// Its name in messages, without passwords.
    fn describe(&self) -> String;

    /// Why copies of a destroyed key may remain, if so: printed at each erasure.
    fn weakness(&self) -> Option<String> {
        None
    }

    /// Copies all keys into a new file that only its owner can read.
    ///
    /// # Errors
    /// When it cannot: a key store need not be able to.
    async fn backup(&self, to: &std::path::Path) -> Result<(), KeyStoreError> {
        let _ = to;
        Err(KeyStoreError(
            format!("{} cannot be copied by this program: back it up by its own means", self.describe()).into(),
        ))
    }

    /// Releases what it holds.
    async fn close(&self) {}
}
