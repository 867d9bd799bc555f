//! The [`Projection`] trait.

use std::time::Duration;

use async_trait::async_trait;

use super::{Basis, FieldInfo, Fold, FoldBase};
use crate::BoxError;
use crate::events::{DecodeError, LogPosition, Ref, Stored};
use crate::store::{Column, Interest, StoreError, Table, Transaction};

/// The table of every document view, and of every projection for which [`Projection::documents`] is true.
pub(super) const DOCUMENTS: &str = "documents";

/// The columns of that table that are in every view.
pub(super) const DOCUMENT_TABLE: Table =
    Table::new(DOCUMENTS, &[Column::text("key"), Column::text("body")], &["key"]);

/// A piece of the log for a projection.
///
/// It covers the whole range after `from`, up to and including `to`: events of the range that are not in it were
/// not wanted.
#[derive(Clone, Copy, Debug)]
pub struct EventBatch<'a> {
    /// The checkpoint before the batch.
    pub from: LogPosition,
    /// The checkpoint after the batch.
    pub to: LogPosition,
    /// The wanted events in between, in order.
    pub events: &'a [Stored],
}

/// An error while a projection applies a batch. The engine retries, then stops the projection.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// A wanted event cannot be decoded.
    #[error("event {position} cannot be read")]
    Decode {
        /// The event's position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored document or row has an unexpected format.
    #[error("the stored row `{key}` cannot be read: raise the projection's version to rebuild it")]
    Document {
        /// The document's key.
        key: String,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// A document's JSON would not decode to an equal document.
    #[error(
        "the document `{key}` cannot be written, because its JSON cannot be read again: JSON has no NaN and no infinity, \
         and `Serialize` and `Deserialize` must agree"
    )]
    ReadBack {
        /// The document's key.
        key: String,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The projection panicked.
    #[error("the projection panicked: {0}")]
    Panicked(String),
    /// Any other error of the projection.
    #[error(transparent)]
    Other(BoxError),
}

/// Rows derived from the log. They and the checkpoint are written in one transaction, so every event counts exactly
/// once; deleting them and running the projection again gives the same rows.
///
/// A projection records and never decides: a command that its code executes is refused with
/// [`ExecuteError::InProjection`](crate::commands::ExecuteError::InProjection), however it got hold of the
/// application. Only a task that it spawns is not noticed: spawn none. It keeps no state of its own between
/// batches: what it needs it reads through the transaction.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// The projection's name, for example `roster`. Unique in an application.
    fn name(&self) -> &str;

    /// The projection's version. Raise it when it makes something else of the same log: it is then rebuilt beside
    /// the old one.
    fn version(&self) -> u64 {
        1
    }

    /// The basis of its rows, if another version may use them instead of building its own from the log, where both
    /// would have made the same rows. Without a basis each version is built separately.
    fn basis(&self) -> Option<Basis> {
        None
    }

    /// The events that it wants.
    fn interest(&self) -> Interest {
        Interest::All
    }

    /// How long it waits for more events before it applies those that are there, unless a caller waits for it: a transaction costs
    /// about the same for any number of events. By default zero; more than 200 milliseconds save nothing.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether it keeps JSON documents by key, in a table `documents` with the text columns `key` and `body`: they
    /// can then be read by the projection's name, without its types.
    fn documents(&self) -> bool {
        false
    }

    /// The fields by which these documents can be listed: columns of that table, named as in
    /// [`Field`](super::Field).
    fn fields(&self) -> Vec<FieldInfo> {
        Vec::new()
    }

    /// Reads a key of its documents as a person or another program writes it. By default that is the key itself.
    ///
    /// # Errors
    /// When the text is not a key.
    fn parse_key(&self, text: &str) -> Result<String, BoxError> {
        Ok(text.to_owned())
    }

    /// Writes a key of its documents so that [`parse_key`](Self::parse_key) reads it.
    fn write_key(&self, key: &str) -> String {
        key.to_owned()
    }

    /// The thing that a key of its documents names, if it names one.
    fn named(&self, key: &str) -> Option<Ref> {
        let _ = key;
        None
    }

    /// Whether the documents under a key are made of the events of the aggregate that the key [names](Self::named), and of no
    /// others. Their past is then read from these.
    fn one_aggregate(&self) -> bool {
        false
    }

    /// The keys that an event touches, if the rows are kept by key and each key depends on its own events alone.
    /// Then single keys can be rebuilt, and an event that fails blocks only its keys. A pure function of the event.
    ///
    /// # Errors
    /// When the event cannot be decoded.
    fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, ProjectionError> {
        let _ = stored;
        Ok(None)
    }

    /// A fold of its events in memory, if it supports one. Required for everything that [`keys`](Self::keys) makes
    /// possible; makes rebuilds fast.
    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        let _ = base;
        None
    }

    /// Creates its tables in an empty generation.
    ///
    /// # Errors
    /// When the database fails.
    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;

    /// Creates the indexes that only readers need: after `setup`, or when a rebuild has filled the tables. It may
    /// be called again: use `CREATE INDEX IF NOT EXISTS`.
    ///
    /// # Errors
    /// When the database fails.
    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let _ = transaction;
        Ok(())
    }

    /// Applies a batch. The engine commits, or rolls back when this fails.
    ///
    /// # Errors
    /// When an event cannot be decoded or the database fails.
    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;
}
