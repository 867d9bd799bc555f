//! [`Fold`]: folds a projection's events in memory before they are written.

use std::borrow::Cow;
use std::collections::HashSet;

use async_trait::async_trait;

use super::ProjectionError;
use super::indexed_text::indexed;
use crate::events::Stored;
use crate::store::Transaction;

/// The most memory of folded documents before they are written. Small in tests, so that they exceed it.
pub(super) const FOLDED_BYTES: usize = if cfg!(all(test, debug_assertions)) { 256 << 10 } else { 64 << 20 };

/// How many events are folded at a time, between checks for cancellation.
pub(super) const FOLDED_AT_ONCE: usize = 1_024;

/// The stored rows that a [`Fold`] starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldBase {
    /// The tables are empty: there is nothing to load.
    Empty,
    /// Load the stored rows that events touch.
    Load,
    /// Replace: ignore stored rows and delete those not rewritten.
    Replace,
}

/// The name of the empty key, where an empty text means no key.
pub(super) const EMPTY_KEY: &str = "\u{1}the empty key";

/// The name of a key in [`KeyFilter`] and in the table of dead letters: short enough for an index, and never empty.
pub(super) fn key_name(key: &str) -> Cow<'_, str> {
    match key {
        "" => Cow::Borrowed(EMPTY_KEY),
        key => indexed(key),
    }
}

/// The keys for which a [`Fold`] applies events. Use [`contain`](Self::contain): the sets hold names of keys, which
/// differ from long keys.
#[derive(Clone, Copy, Debug)]
pub enum KeyFilter<'a> {
    /// All keys.
    All,
    /// Only these keys.
    Only(&'a HashSet<String>),
    /// All other keys.
    Without(&'a HashSet<String>),
}

impl KeyFilter<'_> {
    /// Whether the filter includes this key.
    #[must_use]
    pub fn contain(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(&*key_name(key)),
            Self::Without(keys) => !keys.contains(&*key_name(key)),
        }
    }
}

/// Folds events in memory and writes the result later: a rebuild folds many pages of the log and writes each
/// document once.
///
/// The engine calls [`gather`](Self::gather), then [`load`](Self::load) if the fold [`lacks`](Self::lacks) rows,
/// then [`fold`](Self::fold); now and then [`write`](Self::write). After an error it drops the fold.
#[async_trait]
pub trait Fold: Send + Sync {
    /// Accepts events for these keys, and notes which stored rows it needs and does not have in memory.
    ///
    /// # Errors
    /// When an event cannot be decoded.
    fn gather(&mut self, events: &[Stored], keys: KeyFilter<'_>) -> Result<(), ProjectionError>;

    /// Whether it must load rows before it can fold. The default is never.
    fn lacks(&self) -> bool {
        false
    }

    /// Loads these rows.
    ///
    /// # Errors
    /// When a stored row cannot be read.
    async fn load(&mut self, _transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    /// Folds the gathered events, if not done yet.
    fn fold(&mut self) {}

    /// The position of the event gathered or folded last: the failing event after a panic.
    fn position(&self) -> u64;

    /// Approximate number of bytes in memory. The engine calls [`write`](Self::write) before they are too many.
    fn bytes(&self) -> usize;

    /// The document under a key as JSON text, as the events that were gathered and folded make it; `None` if there is none. The
    /// past of a document is read by it. By default the fold has no documents.
    ///
    /// # Errors
    /// When the fold has no documents, or this one cannot be written as JSON.
    fn document(&self, key: &str) -> Result<Option<String>, ProjectionError> {
        let _ = key;
        Err(ProjectionError::Other(
            "the projection's fold does not return documents: implement `Fold::document`".into(),
        ))
    }

    /// Writes all changes, and may free the memory.
    ///
    /// # Errors
    /// When the database fails.
    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;
}
