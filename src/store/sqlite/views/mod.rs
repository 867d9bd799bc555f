//! Views on SQLite: a file with checkpoints, tables of projections and snapshots of aggregates.
//!
//! ## Layout
//! - `file`: opening the file, and recreating a removed one
//! - `generations`: generations and their checkpoints: creating, switching and dropping them
//! - `leases`: the leader of each projection
//! - `transaction`: a projection's transaction, and a snapshot for reading
//! - `names`: the names of a generation's tables
//! - `snapshots`: snapshots of aggregates
//! - `statement`: statements of projections

mod file;
mod generations;
mod leases;
mod names;
mod snapshots;
mod statement;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::Mutex;
use uuid::Uuid;

use self::file::ViewsFile;
use self::transaction::{Open, SqliteTransaction, SqliteViewSnapshot};
use super::database_file::Meta;
use super::file_connection::FileConnection;
use super::location::FileLocation;
use super::pool::{Pool, blocking};
use crate::events::{LogPosition, Ref};
use crate::store::{
    GenerationId, GenerationInfo, NoteKind, Snapshot, StoreError, Transaction, ViewSnapshot, Views,
};

const DOING: &str = "working on the views";
/// The most reads and snapshots of views that are open at a time; a further one waits.
const READERS: u32 = 64;

/// The views of a [`SqliteStore`](super::SqliteStore).
pub(super) struct SqliteViews {
    file: Arc<ViewsFile>,
    /// The connection that writes; `None` once it is closed.
    writer: Arc<Mutex<Option<FileConnection>>>,
    readers: Arc<Pool>,
}

impl SqliteViews {
    /// Opens the views of the log with this `meta`.
    pub(super) fn open(location: FileLocation, meta: Meta) -> Result<Self, StoreError> {
        let file = Arc::new(ViewsFile::new(location, meta));
        let writer = Arc::new(Mutex::new(Some(file.writer()?)));
        let read = file.clone();
        let readers = Pool::new(file.location().clone(), READERS, move || read.reader());
        Ok(Self { file, writer, readers })
    }

    /// Closes the connections, without waiting for open snapshots.
    pub(super) async fn close(&self) {
        self.readers.close();
        drop(self.writer.lock().await.take());
    }

    /// Runs `work` in a transaction, and commits it if `work` returns `Some`.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Option<T>> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let guard = self.writer.clone().lock_owned().await;
        let file = self.file.clone();
        blocking(DOING, move || {
            let (open, location) = (Open::begin(&file, guard)?, file.location());
            let Some(result) = work(open.connection()?).map_err(|error| location.fault(DOING, error))? else {
                return Ok(None);
            };
            open.commit(location)?;
            Ok(Some(result))
        })
        .await
    }

    async fn find<T: Send + 'static>(
        &self,
        find: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers
            .run(move |location, connection| {
                find(connection).map_err(|error| location.fault("reading the views", error))
            })
            .await
    }
}

#[async_trait]
impl Views for SqliteViews {
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let key = name.to_owned();
        if let Some(live) = self.find(move |connection| generations::live(connection, &key, version)).await? {
            return Ok(live);
        }
        let key = name.to_owned();
        let made = self.write(move |connection| generations::ensure_live(connection, &key, version)).await?;
        made.ok_or_else(|| StoreError::failed(DOING, format!("`{name}` has no generation although one was made")))
    }

    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError> {
        let generation_id = generation_id.clone();
        self.find(move |connection| generations::checkpoint(connection, &generation_id)).await
    }

    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        let guard = self.writer.clone().lock_owned().await;
        let (file, generation_id) = (self.file.clone(), generation_id.clone());
        let prefix = names::prefix(&generation_id);
        let begun = blocking(DOING, move || {
            let open = Open::begin(&file, guard)?;
            let moved = generations::advance(open.connection()?, &generation_id, from, to)
                .map_err(|error| file.location().fault(DOING, error))?;
            Ok(moved.then_some(open))
        });
        let Some(open) = begun.await? else { return Ok(None) };
        Ok(Some(Box::new(SqliteTransaction::new(self.file.location().clone(), prefix, open))))
    }

    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let key = name.to_owned();
        let made = self.write(move |connection| generations::shadow(connection, &key, version).map(Some)).await?;
        made.ok_or_else(|| StoreError::failed(DOING, format!("`{name}` has no shadow although one was made")))
    }

    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError> {
        let shadow = shadow.clone();
        let switched = self.write(move |connection| generations::switch(connection, &shadow)).await?;
        Ok(switched.is_some())
    }

    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError> {
        let discarded = generation_id.clone();
        let done = self.write(move |connection| generations::discard(connection, &discarded)).await?;
        done.ok_or_else(|| {
            let GenerationId { name, generation, .. } = generation_id;
            StoreError::failed(
                "discarding a generation",
                format!("generation {generation} of `{name}` is live: rebuild and switch first"),
            )
        })
    }

    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        self.live(name, version).await?;
        let key = name.to_owned();
        let snapshot = self.readers.with_loan(move |loan| SqliteViewSnapshot::begin(loan, &key, version)).await?;
        Ok(Box::new(snapshot))
    }

    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |connection| generations::set_note(connection, &name, version, about, note).map(Some))
            .await
            .map(drop)
    }

    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.find(move |connection| generations::note(connection, &name, version, about)).await
    }

    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let wanted = wanted.to_vec();
        let led = self
            .write(move |connection| leases::acquire(connection, owner, &wanted, term, leases::now()).map(Some))
            .await?;
        Ok(led.unwrap_or_default())
    }

    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError> {
        self.write(move |connection| leases::release(connection, owner).map(Some)).await.map(drop)
    }

    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        self.find(|connection| generations::all(connection, leases::now())).await
    }

    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError> {
        let name = name.to_owned();
        let pruned =
            self.write(move |connection| generations::prune(connection, &name, version, leases::now())).await?;
        Ok(pruned.is_some())
    }

    async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError> {
        let aggregate = aggregate.clone();
        self.find(move |connection| snapshots::find(connection, &aggregate)).await
    }

    async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError> {
        let aggregate = aggregate.clone();
        self.write(move |connection| snapshots::keep(connection, &aggregate, &snapshot).map(Some)).await.map(drop)
    }

    async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError> {
        self.find(snapshots::all).await
    }

    async fn delete_snapshots(&self) -> Result<u64, StoreError> {
        Ok(self.write(|connection| snapshots::clear(connection).map(Some)).await?.unwrap_or_default())
    }
}
