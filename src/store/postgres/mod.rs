//! The shared store: a PostgreSQL schema, written by any number of processes.
//!
//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME` (default `public`) is made when it is first opened to be
//! written. Behind a pooler that lends out connections by the transaction, add `&pooler=transaction`: then nothing of
//! a session is used; statements are not prepared, and other processes' appends are noticed by looking for them.
//!
//! A batch is one call of one SQL function, in one round trip. It holds a lock of the log while it
//! appends: so positions have no gap, and are in commit order, whoever writes.
//!
//! Only the owner of the schema changes it. An application may connect as another role, which needs no right to write
//! the log's tables: [`grant`] gives it what it needs, as `migrate --grant ROLE` does on the command line. See
//! `SECURITY.md`.
//!
//! ## Connections
//!
//! All stores of a process in one database share its connections: at most 34, however many schemas are open. One that
//! is closed by the server, that is frozen or that leads to a read-only server is replaced: at once if it was closed;
//! 15 seconds after it fell silent at the latest; two seconds after a failover if it landed on a standby. A read is
//! then tried again, a batch is sent again under its ids. Until a batch could be written, `/readyz` says 503.
//!
//! ## Layout
//! - `place`: from a URL to connections; `fault`: what Postgres says, as a [`StoreError`] that says what to do
//! - `connections`: those of this process, shared by its stores; `transaction`: one on such a connection; `silence`:
//!   noticing connections that are dead
//! - `schema`: whose schema it is, and migrations: `log.sql`, `guard.sql`, `lock.sql`, `append.sql`
//! - `owner`: what only the owner does: migrations, and the rights of an application's role
//! - `writer`: the task that appends; `columns`: a batch as parameters; `append`: the call and its answer; `session`:
//!   the log locked for one caller
//! - `reader`, `rows`: what is read; `watch`: noticing what others append; `listener`: hearing of it
//! - `integrity`: what is wrong: `integrity.sql`, where events and commands contradict each other; `protection.sql`, what
//!   is not as this crate makes it; `functions`: the functions among that
//! - `upkeep`: backup
//! - `takeover`: a database of postgres-es made a store
//! - `views`: checkpoints and the tables of projections

mod append;
mod columns;
mod connections;
mod fault;
mod functions;
mod integrity;
mod listener;
mod owner;
mod place;
mod reader;
mod rows;
mod schema;
mod silence;
mod takeover;
mod transaction;
mod upkeep;
mod views;
mod watch;
mod write_lock;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch as channel;
use uuid::Uuid;

pub use self::owner::{Upgraded, grant, upgrade};
pub use self::takeover::{Migrated, kept_events, migrate};

use self::place::Place;
use self::reader::Reader;
use self::views::PostgresViews;
use self::watch::{News, Watcher};
use self::writer::Writer;
use super::{
    Batch, Finding, Interest, KnownCommand, OpenOptions, Outcome, Page, Snapshot, Store, StoreError, Views,
    WriteLock,
};
use crate::events::{LogPosition, Ref, Stored};

/// A store in a PostgreSQL schema.
pub struct PostgresStore {
    place: Place,
    settings: String,
    writer: Writer,
    reader: Arc<Reader>,
    head: channel::Sender<LogPosition>,
    watcher: Watcher,
    views: Arc<PostgresViews>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store that a URL names: see the module.
    ///
    /// # Errors
    /// When the schema is not there and is not to be made, is not a store, is another application's, or the server
    /// cannot be used.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let settings = schema::prepare(&place, &options.app, options.create).await?;
        let reader = Arc::new(Reader::new(place.clone()));
        let (head, _) = channel::channel(reader.head().await?);
        let news = News::default();
        let writer = Writer::new(place.clone(), options.clock, head.clone(), news.clone());
        let watcher = Watcher::start(&place, reader.clone(), head.clone(), news);
        let views = Arc::new(PostgresViews::open(place.clone()));
        Ok(Self { place, settings, writer, reader, head, watcher, views })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.writer.append(&batch).await
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        Ok(Box::new(self.writer.write_lock(wait, hold).await?))
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.reader.head().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.writer.ready().await?;
        self.reader.head().await.map(drop)
    }

    fn watch(&self) -> channel::Receiver<LogPosition> {
        self.head.subscribe()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.reader.read(after, limit, interest).await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.reader.read_at(positions).await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reader.load(aggregate, after, limit).await
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        self.reader.find_commands(ids).await
    }

    async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError> {
        self.views.load_snapshot(aggregate).await
    }

    async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError> {
        self.views.save_snapshot(aggregate, snapshot).await
    }

    async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError> {
        self.views.list_snapshots().await
    }

    async fn delete_snapshots(&self) -> Result<u64, StoreError> {
        self.views.delete_snapshots().await
    }

    fn views(&self) -> Arc<dyn Views> {
        self.views.clone()
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        integrity::integrity(&self.place).await
    }

    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        upkeep::backup(&self.place, &self.reader, to, progress).await
    }

    fn describe(&self) -> String {
        format!("{}, {}", self.settings, self.place.name())
    }

    async fn close(&self) {
        self.watcher.stop();
        self.writer.close().await;
        self.place.close().await;
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
