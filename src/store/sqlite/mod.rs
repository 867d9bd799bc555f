//! The store on an embedded SQLite file.
//!
//! The log is one file, the views are another beside it: `shop.db` and `shop.views.db`. The views may be deleted at any
//! time: they are rebuilt from the log.
//!
//! The files are created for their owner alone (mode 0600). To share a store with a group, give the group the right to
//! write the log: the other files follow. While a program has the log open, the log must be neither removed nor
//! replaced: the program detects it and refuses every operation until the file is back or the program is restarted.
//!
//! One thread writes the log, on one connection, one transaction for each batch (WAL, `synchronous=FULL`). Several
//! processes may have the store open: the lock file `shop.db.lock` gives them equal shares. `sqlite::memory:` is a
//! private temporary directory, with `synchronous=OFF`, that is removed with the store.
//!
//! To restore a backup, replace the log while no program has it open, and remove `shop.db-wal` and `shop.db-shm` if a
//! program that was killed has left them: SQLite would read them into the backup.
//!
//! If the file or its directory cannot be written (read-only media, missing rights), the store is opened for reading:
//! every command fails, and the views are in a temporary directory (`TMPDIR`), as a copy of those beside the log, or
//! built from the log.
//!
//! ## Layout
//! - `location`: the files of a URL
//! - `database_file`: opens the two files
//! - `open_failure`: finds out why one cannot be opened
//! - `file_connection`: a connection that detects removed and replaced files
//! - `permissions`: permissions of the files
//! - `durability`: file systems that may lose synced files
//! - `fault`: SQLite's errors, with advice
//! - `writer`: the thread that writes the log
//! - `log_writer`: what appends to the log, here or in a store whose copy the file is
//! - `append`: a batch in one transaction
//! - `write_lock`: the log locked for one caller
//! - `log_end`: event ids and times that never decrease
//! - `file_lock`: a fair lock between processes
//! - `reader`, `rows`: reads the log, on connections of the `pool`
//! - `requirements`: what the log requires of programs
//! - `pool`: connections for reading
//! - `watch`: detects appends of other processes
//! - `maintenance`: backup and integrity check
//! - `partial_backup`: a backup while it is being written
//! - `backup_writer`: a log from the rows of another store
//! - `views`: the second file
//!
//! `log.sql` and `views.sql` are the schemas (`log_2.sql`: of a log that requires something of programs); `integrity.sql` finds contradictions between events and commands.

pub(super) mod append;
#[cfg(feature = "postgres")]
pub(in crate::store) mod backup_writer;
pub(super) mod database_file;
mod durability;
mod fault;
pub(super) mod file_connection;
pub(super) mod file_lock;
pub(super) mod location;
pub(super) mod log_end;
pub(super) mod log_writer;
pub(super) mod maintenance;
mod open_failure;
mod partial_backup;
mod permissions;
mod pool;
pub(super) mod reader;
pub(super) mod requirements;
pub(super) mod rows;
mod views;
mod watch;
mod write_lock;
mod writer;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::watch as channel;
use uuid::Uuid;

use self::database_file::{LOG, Meta};
use self::file_connection::FileConnection;
use self::file_lock::FairFileLock;
use self::location::{FileLocation, Media, StoreLocations};
pub(in crate::store) use self::log_writer::{COPIED, CopyOf};
use self::log_writer::{LogWriter, WriterParts};
use self::pool::{Pool, blocking};
use self::views::SqliteViews;
use self::watch::Watcher;
use self::writer::Writer;
use super::{
    Batch, Finding, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, Store, StoreError, Views,
    WriteLock,
};
use crate::events::{LogPosition, Ref, Stored};

/// The most concurrent reads; further ones wait.
const READERS: u32 = 8;

/// A store on an embedded SQLite file.
pub struct SqliteStore {
    location: FileLocation,
    /// The reason why acknowledged commits may be lost although they were synced.
    risk: Option<String>,
    /// Whether commands fail because the file or its directory cannot be written.
    read_only: bool,
    writer: Box<dyn LogWriter>,
    readers: Arc<Pool>,
    views: Arc<SqliteViews>,
    head: channel::Sender<LogPosition>,
    watcher: Option<Watcher>,
    directory: Mutex<Option<TempDir>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store of a URL: `sqlite://FILE.db`, `sqlite:///PATH/FILE.db` or `sqlite::memory:`.
    ///
    /// # Errors
    /// When the file does not exist and is not to be created, is not a store, belongs to another application, or cannot be used.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let locations = StoreLocations::from_url(url)?;
        let open = move || {
            let log_id = Uuid::new_v4().to_string();
            Self::open_with(locations, options, log_id, CopyOf::Nothing, |parts| {
                Ok(Box::new(Writer::start(parts)?))
            })
        };
        blocking("opening the store", open).await
    }

    /// Opens the files with a writer of their own. A file that is created gets this log id.
    pub(in crate::store) fn open_with(
        locations: StoreLocations,
        options: OpenOptions,
        log_id: String,
        copy_of: CopyOf,
        writer: impl FnOnce(WriterParts) -> Result<Box<dyn LogWriter>, StoreError>,
    ) -> Result<Self, StoreError> {
        let StoreLocations { log, views, directory } = locations;
        let create = options.create || directory.is_some();
        let new = Meta { app: options.app, log_id };
        let (log, opened) = match open_log(&log, &new, create, copy_of) {
            Err(StoreError::Unusable { .. }) if let Some(log) = log.on_read_only_media() => {
                let opened = open_log(&log, &new, create, copy_of);
                (log, opened)
            }
            opened => (log, opened),
        };
        let OpenLog { meta, connection, file_lock } = opened?;
        let read_only = database_file::is_read_only(&log, &connection)?;
        let risk = if log.durable() && !read_only { durability::risk(log.path()) } else { None };
        if let Some(risk) = &risk {
            tracing::warn!(store = log.name(), "acknowledged commands may be lost: {risk}");
        }
        let (views, directory) = match SqliteViews::open(views.clone(), meta.clone()) {
            Err(error) if read_only => {
                tracing::debug!(%error, "the views cannot be beside the log");
                open_private_views(&log, &views, meta)?
            }
            opened => (opened?, directory),
        };
        let views = Arc::new(views);
        // All connections use the files that the writer has open.
        let files = connection.files().clone();
        let (head, _) = channel::channel(reader::head(&log, &connection)?);
        // No other process can append to a private store.
        let watcher = match log.durable() {
            true => Some(Watcher::start(&log, database_file::reader_of(&log, &files)?, head.clone())?),
            false => None,
        };
        let (location, clock) = (log.clone(), options.clock);
        let writer = writer(WriterParts { location, connection, file_lock, clock, head: head.clone() })?;
        let at = log.clone();
        let readers = Pool::new(log.clone(), READERS, move || database_file::reader_of(&at, &files));
        Ok(Self {
            location: log,
            risk,
            read_only,
            writer,
            readers,
            views,
            head,
            watcher,
            directory: Mutex::new(directory),
        })
    }
}

struct OpenLog {
    meta: Meta,
    connection: FileConnection,
    file_lock: FairFileLock,
}

fn open_log(log: &FileLocation, new: &Meta, create: bool, copy_of: CopyOf) -> Result<OpenLog, StoreError> {
    let mut file_lock = FairFileLock::beside(log);
    let app = new.app.as_str();
    let (meta, connection) = database_file::open_with_retry(log, create, &mut file_lock, |file_lock| {
        let meta = database_file::prepare(log, &LOG, new, create, file_lock)?;
        if meta.app != app {
            return Err(log.unusable(format!(
                "it belongs to the application `{}`, and this application is `{app}`: name another file",
                meta.app
            )));
        }
        let connection = Writer::connect(log)?;
        if copy_of == CopyOf::Nothing && requirements::meta_value(log, &connection, COPIED)?.is_some() {
            return Err(log.unusable(
                "it is the local copy of a log on NATS JetStream, which nobody else may write: open nats://…, or a backup of \
                 the copy"
                    .to_owned(),
            ));
        }
        Ok((meta, connection))
    })?;
    Ok(OpenLog { meta, connection, file_lock })
}

/// Opens views of a log that can only be read: in a private directory, as a copy of the views beside the log if nobody
/// can write those.
fn open_private_views(
    log: &FileLocation,
    views: &FileLocation,
    meta: Meta,
) -> Result<(SqliteViews, Option<TempDir>), StoreError> {
    let directory = location::private_directory(log.name())?;
    let private = views.in_private_directory(directory.path());
    if log.media() != Media::Ordinary {
        views.copy_to(&private);
    }
    let opened = SqliteViews::open(private.clone(), meta.clone()).or_else(|error| {
        tracing::warn!(%error, "the copy of the views cannot be used: they are built from the log");
        private.remove();
        SqliteViews::open(private, meta)
    })?;
    tracing::warn!(
        store = log.name(),
        directory = %directory.path().display(),
        "the store is read-only: no command can be executed, and the views are in a temporary directory"
    );
    Ok((opened, Some(directory)))
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.writer.append(batch).await
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        Ok(Box::new(self.writer.write_lock(wait, hold).await?))
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.readers.run(reader::head).await
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.readers.run(requirements::info).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.read_only {
            return Err(self.location.read_only());
        }
        self.head().await.map(drop)
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn watch(&self) -> channel::Receiver<LogPosition> {
        self.head.subscribe()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.read_bounded(after, limit, usize::MAX, interest).await
    }

    async fn read_bounded(
        &self,
        after: u64,
        limit: usize,
        bytes: usize,
        interest: &Interest,
    ) -> Result<Page, StoreError> {
        let interest = interest.clone();
        self.readers
            .run(move |location, connection| reader::read(location, connection, after, limit, bytes, &interest))
            .await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let positions = positions.to_vec();
        self.readers.run(move |location, connection| reader::read_at(location, connection, positions)).await
    }

    async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        let positions = positions.to_vec();
        self.readers
            .run(move |location, connection| reader::read_within(location, connection, &positions, bytes))
            .await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let aggregate = aggregate.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers
            .run(move |location, connection| reader::load(location, connection, &aggregate, after, limit))
            .await
    }

    async fn load_within(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let aggregate = aggregate.clone();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers
            .run(move |location, connection| {
                reader::load_within(location, connection, &aggregate, after, limit, bytes)
            })
            .await
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        let ids = ids.to_vec();
        self.readers.run(move |location, connection| reader::find_commands(location, connection, &ids)).await
    }

    fn views(&self) -> Arc<dyn Views> {
        self.views.clone()
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        self.readers.run(maintenance::integrity).await
    }

    async fn count_eventless_commands(&self) -> Result<Option<u64>, StoreError> {
        self.readers.run(maintenance::count_eventless_commands).await.map(Some)
    }

    async fn backup(&self, to: &Path, mut progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        let to = to.to_owned();
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let copied = self.readers.run(move |location, connection| {
            let mut progress = |done, total| {
                progress(done, total);
                // Dropped with this future.
                match waiting.strong_count() {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            };
            maintenance::backup(location, connection, &to, &mut progress)
        });
        let copied = copied.await;
        drop(caller);
        copied
    }

    fn describe(&self) -> String {
        let path = self.location.path().display();
        match &self.risk {
            _ if !self.location.durable() => "SQLite WAL, synchronous=OFF, a private temporary file".to_owned(),
            None if self.read_only => format!("SQLite, read-only, {path}"),
            None => format!("SQLite WAL, synchronous=FULL, {path}"),
            Some(risk) => format!("SQLite WAL, synchronous=FULL, {path} (NOT DURABLE: {risk})"),
        }
    }

    async fn close(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.stop().await;
        }
        self.readers.drain().await;
        // Closed last: the last connection moves the content of the -wal file into the log and removes it. A remaining
        // -wal file would be read into a file that replaces the log.
        self.writer.close().await;
        self.views.close().await;
        let directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(directory);
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
