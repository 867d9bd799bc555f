//! A wrapper around a store that counts what is read of the log and of the tables of projections.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annals::events::{LogPosition, Ref, Stored};
use annals::store::{
    Batch, Finding, GenerationId, GenerationInfo, Interest, KnownCommand, LogInfo, NoteKind, OpenOptions, Outcome,
    Page, Store, StoreError, Transaction, ViewSnapshot, Views, WriteLock,
};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::vault::NOW;

/// A store that counts its reads.
pub struct Counting {
    inner: Arc<dyn Store>,
    reads: Arc<AtomicUsize>,
}

impl Counting {
    pub async fn open(url: &str) -> Arc<Self> {
        let clock = Arc::new(|| NOW.parse::<Timestamp>().unwrap());
        let options = OpenOptions { app: "vault".to_owned(), clock, create: false };
        let inner = annals::store::open(url, options).await.unwrap();
        Arc::new(Self { inner, reads: Arc::default() })
    }

    /// How often events, documents or rows were read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn count(&self) -> &dyn Store {
        self.reads.fetch_add(1, Ordering::SeqCst);
        &*self.inner
    }
}

#[async_trait]
impl Store for Counting {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.inner.append(batch).await
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        self.inner.write_lock(wait, hold).await
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.inner.head().await
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.inner.info().await
    }

    fn watch(&self) -> watch::Receiver<LogPosition> {
        self.inner.watch()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.count().read(after, limit, interest).await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.count().read_at(positions).await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.count().load(aggregate, after, limit).await
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        // Not counted: a known command is found before anything is decided, by an id of the caller.
        self.inner.find_commands(ids).await
    }

    fn views(&self) -> Arc<dyn Views> {
        Arc::new(CountingViews { inner: self.inner.views(), reads: self.reads.clone() })
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        self.count().check_integrity().await
    }

    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        self.count().backup(to, progress).await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

struct CountingViews {
    inner: Arc<dyn Views>,
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl Views for CountingViews {
    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.inner.read(name, version).await
    }

    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        self.inner.live(name, version).await
    }

    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError> {
        self.inner.checkpoint(generation_id).await
    }

    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        self.inner.begin(generation_id, from, to).await
    }

    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        self.inner.shadow(name, version).await
    }

    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError> {
        self.inner.switch(shadow).await
    }

    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError> {
        self.inner.discard(generation_id).await
    }

    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        self.inner.set_note(name, version, about, note).await
    }

    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError> {
        self.inner.note(name, version, about).await
    }

    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.inner.acquire_leases(owner, wanted, term).await
    }

    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError> {
        self.inner.release_leases(owner).await
    }

    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        self.inner.generations().await
    }

    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError> {
        self.inner.prune(name, version).await
    }
}
