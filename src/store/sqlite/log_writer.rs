//! [`LogWriter`]: what appends to the log. The SQLite store has a thread for it; a store whose log is elsewhere and has its copy in
//! the file has its own.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::file_connection::FileConnection;
use super::file_lock::FairFileLock;
use super::location::FileLocation;
use crate::events::LogPosition;
use crate::store::write_lock::WriteLockHandle;
use crate::store::{Batch, Clock, Outcome, StoreError};

/// Appends batches, one after the other.
#[async_trait]
pub(in crate::store) trait LogWriter: Send + Sync {
    /// Appends a batch: see [`Store::append`](crate::store::Store::append).
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError>;

    /// Locks the log: see [`Store::write_lock`](crate::store::Store::write_lock).
    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockHandle, StoreError>;

    /// Waits for a running append, and closes the connection.
    async fn close(&self);
}

/// What a writer needs of an open file.
pub(in crate::store) struct WriterParts {
    pub(in crate::store) location: FileLocation,
    pub(in crate::store) connection: FileConnection,
    pub(in crate::store) file_lock: FairFileLock,
    pub(in crate::store) clock: Clock,
    /// The head that readers watch.
    pub(in crate::store) head: watch::Sender<LogPosition>,
}

/// What a file is a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum CopyOf {
    /// It is the log itself.
    Nothing,
    /// It is a local copy of a log on NATS JetStream, which has all that the file has.
    #[cfg(feature = "jetstream")]
    Stream,
}

/// The key in `meta` of a local copy: how far it is.
pub(in crate::store) const COPIED: &str = "copied_from_stream";
