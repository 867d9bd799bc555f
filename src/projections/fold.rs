//! [`Fold`]: a projection's events folded in memory, ahead of its tables.

use std::borrow::Cow;
use std::collections::HashSet;

use async_trait::async_trait;

use super::ProjectionError;
use super::indexed_text::indexed;
use crate::events::Stored;
use crate::store::Transaction;

/// The most memory that folded documents take before they are written. Tests see it exceeded.
pub(super) const FOLDED_BYTES: usize = if cfg!(all(test, debug_assertions)) { 256 << 10 } else { 64 << 20 };

/// How many events are folded at a time, between looks at whether to go on.
pub(super) const FOLDED_AT_ONCE: usize = 1_024;

/// What a [`Fold`] stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldBase {
    /// Empty tables: there is nothing to load.
    Empty,
    /// What is stored: it loads what it touches.
    Load,
    /// Nothing, whatever is stored: it loads nothing, and what it does not make again is deleted.
    Replace,
}

/// How the empty key is named where no key at all is an empty text.
pub(super) const EMPTY_KEY: &str = "\u{1}the empty key";

/// How a key is named in [`KeyFilter`] and in the table of dead letters: as an index takes it, and never by an empty text.
pub(super) fn key_name(key: &str) -> Cow<'_, str> {
    match key {
        "" => Cow::Borrowed(EMPTY_KEY),
        key => indexed(key),
    }
}

/// The keys that a [`Fold`] takes events in for. Ask [`contain`](Self::contain): the sets hold names of keys, which differ
/// from the keys where those are long.
#[derive(Clone, Copy, Debug)]
pub enum KeyFilter<'a> {
    /// All.
    All,
    /// These alone.
    Only(&'a HashSet<String>),
    /// All others.
    Without(&'a HashSet<String>),
}

impl KeyFilter<'_> {
    /// Whether this key is one of them.
    #[must_use]
    pub fn contain(&self, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(keys) => keys.contains(&*key_name(key)),
            Self::Without(keys) => !keys.contains(&*key_name(key)),
        }
    }
}

/// Events of a projection folded in memory, and written when there is a time for it: a rebuild takes in many pages
/// of the log and writes each document once.
///
/// It is called in turns: [`gather`](Self::gather), [`load`](Self::load) if it [`lacks`](Self::lacks) anything,
/// [`fold`](Self::fold); now and then [`write`](Self::write). After an error it is thrown away.
#[async_trait]
pub trait Fold: Send + Sync {
    /// Takes events in, for these keys, and notes what of that is stored and not in memory yet.
    ///
    /// # Errors
    /// When an event cannot be read.
    fn gather(&mut self, events: &[Stored], keys: KeyFilter<'_>) -> Result<(), ProjectionError>;

    /// Whether it has to load anything before it can fold what it gathered: never, unless it says so.
    fn lacks(&self) -> bool {
        false
    }

    /// Loads that.
    ///
    /// # Errors
    /// When what is stored cannot be read.
    async fn load(&mut self, _transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    /// Folds what it gathered, if that is not done yet.
    fn fold(&mut self) {}

    /// The position of the event that it gathered or folded last: the culprit, if it panics.
    fn position(&self) -> u64;

    /// About how many bytes of memory it holds. It is asked to write, and to let go of them, before they are too many.
    fn bytes(&self) -> usize;

    /// Writes what has changed.
    ///
    /// # Errors
    /// When the database says no.
    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;
}
