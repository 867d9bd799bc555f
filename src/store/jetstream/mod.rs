//! The store whose log is a stream of NATS JetStream. Experimental.
//!
//! The stream has a message for each batch, replicated by the servers. Each process applies it to a local SQLite file that has the
//! tables of the SQLite store, and reads the log, its indexes and its views there. So this is the SQLite store with another way to
//! append. The file can be removed while no program has it open: it is made again from the stream. Several processes of one machine may
//! share it, as they share the file of an SQLite store.
//!
//! A batch is decided on the local file, in a transaction that is committed once the batch is in the stream: at the sequence after the
//! last one that the file has, or not at all. What another process appended first is applied, and the batch is decided again.
//!
//! ## Layout
//! - `location`: the servers, the stream and the local file of a URL
//! - `link`: requests to the servers, each of which ends in bounded time
//! - `hosts`: the servers, and which of them were silent
//! - `stream`: what is asked of the stream
//! - `config`: the configuration of a stream that can be a log
//! - `message`: a message of the stream
//! - `rows`: the rows of a batch as bytes
//! - `local`: the local file
//! - `claims`: whose turn it is to append
//! - `settle`: puts a batch at its sequence, whatever happens to the answers
//! - `stream_log`: appends to the stream, and applies it
//! - `turns`: waits for other processes
//! - `writer`: the thread that does both
//! - `opening`: opens the stream and the file

mod claims;
mod config;
mod hosts;
mod link;
mod local;
mod location;
mod message;
mod opening;
mod rows;
mod settle;
mod stream;
mod stream_log;
mod turns;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use self::location::StreamLocation;
use self::writer::Health;
use super::sqlite::SqliteStore;
use super::{
    Batch, Finding, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, Store, StoreError, Views,
    WriteLock,
};
use crate::events::{LogPosition, Ref, Stored};

/// A store whose log is a stream of NATS JetStream.
pub struct JetStreamStore {
    location: StreamLocation,
    replicas: u64,
    local: SqliteStore,
    health: Arc<Health>,
}

impl std::fmt::Debug for JetStreamStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JetStreamStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl JetStreamStore {
    /// Opens the store of a URL: `nats://HOST,HOST,HOST/NAME?file=PATH&replicas=3&ca=FILE`, or `tls://…`.
    ///
    /// # Errors
    /// When there is no stream and none is to be created, it is not as it must be, belongs to another application, or the servers or the
    /// local file cannot be used.
    pub async fn open(url: &str, options: OpenOptions) -> Result<Self, StoreError> {
        let location = StreamLocation::from_url(url)?;
        let health = Arc::new(Health::new());
        let (opened, open) = oneshot::channel();
        let (send, requests) = mpsc::unbounded_channel();
        let parts = (location.clone(), health.clone());
        let work = move || {
            let (location, health) = parts;
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let error = location.unusable(format!("no runtime can be started: {error}"));
                    // The caller may no longer wait.
                    return drop(opened.send(Err(error)));
                }
            };
            runtime.block_on(async move {
                match opening::open(location, options, health, send).await {
                    Ok((store, writer, replicas)) => {
                        if opened.send(Ok((store, replicas))).is_ok() {
                            writer.run(requests).await;
                        }
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("annals-jetstream".into()).spawn(work);
        thread.map_err(|error| {
            location.unusable(format!("no thread can be started ({error}): raise this user's limit of processes"))
        })?;
        let (local, replicas) =
            open.await.unwrap_or_else(|_| Err(location.unusable("opening it panicked".to_owned())))?;
        Ok(Self { location, replicas, local, health })
    }
}

#[async_trait]
impl Store for JetStreamStore {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.local.append(batch).await
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        self.local.write_lock(wait, hold).await
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.local.head().await
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.local.info().await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        self.local.time().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if let Some(problem) = self.health.problem() {
            return Err(self.location.unusable(problem));
        }
        self.local.ready().await
    }

    fn watch(&self) -> watch::Receiver<LogPosition> {
        self.local.watch()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.local.read(after, limit, interest).await
    }

    async fn read_bounded(
        &self,
        after: u64,
        limit: usize,
        bytes: usize,
        interest: &Interest,
    ) -> Result<Page, StoreError> {
        self.local.read_bounded(after, limit, bytes, interest).await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.local.read_at(positions).await
    }

    async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.local.read_within(positions, bytes).await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.local.load(aggregate, after, limit).await
    }

    async fn load_within(
        &self,
        aggregate: &Ref,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        self.local.load_within(aggregate, after, limit, bytes).await
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        self.local.find_commands(ids).await
    }

    fn views(&self) -> Arc<dyn Views> {
        self.local.views()
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        self.local.check_integrity().await
    }

    async fn count_eventless_commands(&self) -> Result<Option<u64>, StoreError> {
        self.local.count_eventless_commands().await
    }

    /// Copies the local file: the copy is the log of an SQLite store.
    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        self.local.backup(to, progress).await
    }

    fn describe(&self) -> String {
        let Self { location, replicas, .. } = self;
        format!(
            "NATS JetStream, stream {}, {}, sync_interval not verified, {}; local copy {}",
            location.name,
            crate::text::counted(*replicas, "replica"),
            location.servers.hosts(),
            location.file.display()
        )
    }

    async fn close(&self) {
        self.local.close().await;
    }
}

#[cfg(all(test, feature = "conformance"))]
mod tests;
