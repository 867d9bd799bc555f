//! The [`Projection`] trait.

use async_trait::async_trait;

use super::{Basis, FieldInfo, Fold, FoldBase};
use crate::BoxError;
use crate::events::{DecodeError, LogPosition, Stored};
use crate::store::{Column, Interest, StoreError, Table, Transaction};

/// The table of every document view, and of every projection whose [`Projection::documents`] says so.
pub(super) const DOCUMENTS: &str = "documents";

/// The columns of that table that are in every view.
pub(super) const DOCUMENT_TABLE: Table =
    Table::new(DOCUMENTS, &[Column::text("key"), Column::text("body")], &["key"]);

/// A piece of the log on its way into a projection.
///
/// It stands for the whole range after `from`, up to and with `to`: events in between that are not in it were not
/// wanted.
#[derive(Clone, Copy, Debug)]
pub struct EventBatch<'a> {
    /// Up to where the projection was.
    pub from: LogPosition,
    /// Up to where it will be.
    pub to: LogPosition,
    /// The wanted events in between, in order.
    pub events: &'a [Stored],
}

/// Why a projection could not take in a batch. The engine tries again, then stops the projection and says so.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// An event that it wants cannot be read.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// The database says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored document or row is not what the projection writes.
    #[error("the stored row `{key}` cannot be read: raise the projection's version to rebuild it")]
    Document {
        /// The document's key.
        key: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// A document would not be read again as what its view makes of it.
    #[error(
        "the document `{key}` cannot be written, because its JSON cannot be read again: JSON has no NaN and no infinity, \
         and `Serialize` and `Deserialize` must agree"
    )]
    ReadBack {
        /// The document's key.
        key: String,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The projection panicked.
    #[error("the projection panicked: {0}")]
    Panicked(String),
    /// Anything else that the projection itself says.
    #[error(transparent)]
    Other(BoxError),
}

/// Something made from the log. Its tables and its checkpoint are written in one transaction, so every event counts
/// exactly once; deleting it all and running it again gives the same.
///
/// A projection records and never decides: a command that its code executes is refused with
/// [`ExecuteError::InProjection`](crate::commands::ExecuteError::InProjection), whichever way it came by the application.
/// Only a task that it spawns is not noticed: spawn none. It keeps no state of its own between batches: what it needs it
/// reads through the transaction.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// Its name: `roster`. Unique in an application.
    fn name(&self) -> &str;

    /// Raise it when what the projection makes of the log changes: it is then built anew, beside the old one.
    fn version(&self) -> u64 {
        1
    }

    /// What its rows are made from, if another version of it may go on with them instead of building its own from the
    /// log: where both would have made the same rows. Without, each version is built by itself.
    fn basis(&self) -> Option<Basis> {
        None
    }

    /// The events that it wants.
    fn interest(&self) -> Interest {
        Interest::All
    }

    /// Whether it keeps JSON documents by key, in a table `documents` with the text columns `key` and `body`: then
    /// they can be read by the projection's name, without its types.
    fn documents(&self) -> bool {
        false
    }

    /// The fields that these documents can be listed by: columns of that table, named as [`Field`](super::Field) says.
    fn fields(&self) -> Vec<FieldInfo> {
        Vec::new()
    }

    /// The keys that an event touches, if what it makes is kept by key and each key is made of its own events alone. Then
    /// one key can be made anew, and an event that fails holds up its keys alone. A pure function of the event.
    ///
    /// # Errors
    /// When the event cannot be read.
    fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, ProjectionError> {
        let _ = stored;
        Ok(None)
    }

    /// What folds its events in memory, if it can. Needed for what [`keys`](Self::keys) makes possible; makes rebuilds
    /// quick.
    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        let _ = base;
        None
    }

    /// Makes its tables, in a generation where there are none yet.
    ///
    /// # Errors
    /// When the database says no.
    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;

    /// Makes the indexes that only readers need: after `setup`, or when a rebuild has filled the tables. It may be called
    /// again where they are there: `CREATE INDEX IF NOT EXISTS`.
    ///
    /// # Errors
    /// When the database says no.
    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let _ = transaction;
        Ok(())
    }

    /// Takes in a batch. The engine commits, or rolls back when this fails.
    ///
    /// # Errors
    /// When an event cannot be read or the database says no.
    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError>;
}
