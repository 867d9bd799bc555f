//! The shared store: a PostgreSQL schema, written by any number of processes.
//!
//! Opening `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME` (default `public`) for writing creates the schema.
//! Behind a pooler in transaction mode, add `&pooler=transaction`: then statements are not prepared, and appends of other
//! processes are noticed by polling, because nothing of a session is used.
//!
//! A batch is one call of one SQL function, in one round trip. It holds a lock of the log while it appends, so that
//! positions have no gaps and are in commit order, for any number of writers.
//!
//! Only the owner of the schema changes it. An application may connect as another role, which needs no right to write the
//! log's tables: [`grant`] grants its rights, as `migrate --grant ROLE` does on the command line. See `SECURITY.md`.
//!
//! With `&read=URL`, percent-encoded, views are read from a standby: see `standby`. What is acknowledged was confirmed by a
//! synchronous standby wherever the server waits for one (`synchronous_standby_names`): see `notices` and
//! `docs/guide/standbys.md`.
//!
//! ## Connections
//!
//! All stores of a process in one database share its connections: at most 34, however many schemas are open. A dead
//! connection is replaced: at once if the server closed it, at most 15 seconds after it fell silent, and two seconds after
//! a failover if it leads to a standby. A read is then tried again, and a batch is sent again with its ids. While no batch
//! can be written, `/readyz` returns 503.
//!
//! ## Layout
//! - `location`: the server and schema of a URL
//! - `connections`: the connections of this process, shared by its stores
//! - `transaction`: a transaction on a shared connection
//! - `liveness`: detection of dead connections
//! - `fault`: errors of Postgres as [`StoreError`], with what to do
//! - `schema`: the application and version of a schema, and migrations (`log.sql`, `guard.sql`, `lock.sql`, `append.sql`, …)
//! - `owner`: what only the owner does: migrations, and the rights of an application's role
//! - `writer`: appends batches, one at a time
//! - `notices`: warnings of the server: a wait for a synchronous standby that somebody cancelled
//! - `standby`: reading views from a standby
//! - `columns`: a batch as parameters of the append function
//! - `append`: the call of the append function and its result
//! - `write_lock`: the log locked for one caller
//! - `reader`, `rows`: reading the log
//! - `watch`, `listener`: noticing appends of other processes
//! - `integrity`: contradictions between rows (`integrity.sql`), and changes of the schema (`protection.sql`)
//! - `functions`: changes of the schema's functions
//! - `backup`: backup
//! - `takeover`: taking over a database of postgres-es
//! - `views`: checkpoints and tables of projections

mod append;
mod backup;
mod columns;
mod connections;
mod fault;
mod functions;
mod integrity;
mod listener;
mod liveness;
mod location;
mod notices;
mod owner;
mod reader;
mod rows;
mod schema;
mod standby;
mod takeover;
mod transaction;
mod views;
mod watch;
mod write_lock;
mod writer;

use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch as channel;
use uuid::Uuid;

pub use self::owner::{Upgraded, grant, upgrade};
pub use self::takeover::{Migrated, OldEvent, Takeover, Undone, Unmapped, kept_events, undo_migration};
pub(crate) use self::takeover::{Reading as TakeoverReading, migrate};

#[cfg(feature = "personal")]
pub(crate) use self::location::DatabaseUrl;
use self::location::SchemaLocation;
use self::reader::Reader;
use self::standby::Standby;
use self::views::PostgresViews;
use self::watch::{AppendNotifier, Watcher};
use self::writer::Writer;
use super::{
    Batch, Finding, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, StandbyStatus, Store, StoreError,
    Views, WriteLock,
};
use crate::events::{LogPosition, Ref, Stored};

/// A store in a PostgreSQL schema.
pub struct PostgresStore {
    location: SchemaLocation,
    settings: String,
    writer: Writer,
    reader: Arc<Reader>,
    head: channel::Sender<LogPosition>,
    watcher: Watcher,
    views: Arc<PostgresViews>,
    standby: Option<Arc<Standby>>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store that a URL names: see the module.
    ///
    /// # Errors
    /// When the schema is not there and is not to be made, is not a store, is another application's, or the server
    /// cannot be used.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let (location, standby) = (SchemaLocation::parse(url)?, SchemaLocation::parse_standby(url)?);
        let settings = schema::prepare(&location, &options.app, options.create).await?;
        let reader = Arc::new(Reader::new(location.clone()));
        let standby = match standby {
            Some(standby) => Some(Arc::new(Standby::open(standby, &reader.info().await?.log_id).await?)),
            None => None,
        };
        let (head, _) = channel::channel(reader.head().await?);
        let notifier = AppendNotifier::default();
        let writer = Writer::new(location.clone(), options.clock, head.clone(), notifier.clone());
        let watcher = Watcher::start(&location, reader.clone(), head.clone(), notifier);
        let views = Arc::new(PostgresViews::open(location.clone(), standby.clone()));
        Ok(Self { location, settings, writer, reader, head, watcher, views, standby })
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

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.reader.info().await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        self.reader.time().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.writer.ready().await?;
        self.reader.head().await.map(drop)
    }

    fn watch(&self) -> channel::Receiver<LogPosition> {
        self.head.subscribe()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.reader.read(after, limit, usize::MAX, interest).await
    }

    async fn read_bounded(
        &self,
        after: u64,
        limit: usize,
        bytes: usize,
        interest: &Interest,
    ) -> Result<Page, StoreError> {
        self.reader.read(after, limit, bytes, interest).await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.reader.read_at(positions).await
    }

    async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        if let Some(standby) = &self.standby
            && let Some(events) = standby.events(positions, bytes).await
        {
            return Ok(events);
        }
        self.reader.read_within(positions, bytes).await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.reader.load(aggregate, after, limit).await
    }

    async fn load_within(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.reader.load_within(aggregate, after, limit, bytes).await
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        self.reader.find_commands(ids).await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        self.writer.confirm().await
    }

    fn views(&self) -> Arc<dyn Views> {
        self.views.clone()
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        integrity::integrity(&self.location).await
    }

    async fn count_eventless_commands(&self) -> Result<Option<u64>, StoreError> {
        self.reader.count_eventless_commands().await.map(Some)
    }

    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        backup::backup(&self.location, &self.reader, to, progress).await
    }

    async fn standby(&self) -> Result<Option<StandbyStatus>, StoreError> {
        let Some(standby) = &self.standby else { return Ok(None) };
        Ok(Some(standby.status(self.reader.head().await?).await))
    }

    fn describe(&self) -> String {
        let standby = self.standby.as_ref().map(|standby| format!("; views are read from {}", standby.name()));
        format!("{}, {}{}", self.settings, self.location.name(), standby.unwrap_or_default())
    }

    async fn close(&self) {
        self.watcher.stop();
        self.writer.close().await;
        self.location.close().await;
        if let Some(standby) = &self.standby {
            standby.close().await;
        }
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
