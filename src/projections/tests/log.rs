//! A log for tests: it can be truncated, as after restoring an older backup, and fail on demand. Its views are
//! real.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use super::Happening;
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{
    Batch, GenerationId, GenerationInfo, Index, Interest, KnownCommand, LogInfo, NoteKind, Outcome, Page, Store,
    StoreError, Table, Transaction, ViewSnapshot, Views, WriteLock,
};

pub struct TestLog {
    events: Mutex<Vec<Stored>>,
    head: watch::Sender<LogPosition>,
    real: Arc<dyn Store>,
    pub begun: Arc<AtomicU32>,
    /// The number of events read.
    pub read: AtomicU64,
    /// The number of look-ups by position, and of events that they returned.
    pub looked_up: AtomicU64,
    pub found: AtomicU64,
    /// The most bytes that one load of an aggregate returned.
    pub most_loaded: AtomicU64,
    /// A reader of events at positions waits for a permit.
    pub gate: Semaphore,
    /// The number of those readers.
    pub asked: AtomicU64,
    /// How many of the next commits fail; every second one of them is executed.
    pub doubtful: Arc<AtomicU32>,
}

impl TestLog {
    pub fn new(real: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            head: watch::Sender::new(LogPosition::default()),
            real,
            begun: Arc::default(),
            read: AtomicU64::new(0),
            looked_up: AtomicU64::new(0),
            found: AtomicU64::new(0),
            most_loaded: AtomicU64::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            asked: AtomicU64::new(0),
            doubtful: Arc::default(),
        })
    }

    fn events(&self) -> MutexGuard<'_, Vec<Stored>> {
        self.events.lock().unwrap()
    }

    fn last(&self) -> LogPosition {
        self.events().last().map(Stored::head).unwrap_or_default()
    }

    pub fn push(&self, happenings: Vec<Happening>) -> LogPosition {
        for (aggregate, event) in happenings {
            let position = self.last().position + 1;
            self.events().push(Stored {
                position,
                event_id: Uuid::now_v7(),
                aggregate,
                sequence: position,
                event_type: event.event_type().to_owned(),
                event_version: event.event_version().to_owned(),
                payload: event.payload().to_owned(),
                metadata: r#"{"actor":"user:tester"}"#.to_owned(),
                command_id: Uuid::new_v4(),
                occurred_at: Timestamp::UNIX_EPOCH,
                recorded_at: Timestamp::UNIX_EPOCH,
                digest: [0; 32],
            });
        }
        self.head.send_replace(self.last());
        self.last()
    }

    /// Truncates the log, as if an older backup had been restored.
    pub fn restore(&self, length: usize) {
        self.events().truncate(length);
        self.head.send_replace(self.last());
    }
}

#[async_trait]
impl Store for TestLog {
    async fn append(&self, _: Batch) -> Result<Vec<Outcome>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn write_lock(&self, _: Duration, _: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        Ok(self.last())
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        Ok(LogInfo::default())
    }

    fn watch(&self) -> watch::Receiver<LogPosition> {
        self.head.subscribe()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        tokio::task::yield_now().await;
        let events = self.events();
        let from = events.partition_point(|stored| stored.position <= after);
        let wanted = events[from..].iter().filter(|stored| interest.wants(stored));
        let wanted: Vec<Stored> = wanted.take(limit).cloned().collect();
        self.read.fetch_add(wanted.len() as u64, Ordering::Relaxed);
        let bound = match wanted.last() {
            Some(last) if wanted.len() == limit => last.head(),
            // The head, also if it is not after `after`: as both stores.
            _ => events.last().map(Stored::head).unwrap_or_default(),
        };
        Ok(Page { events: wanted, to: bound })
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        let found: Vec<Stored> =
            self.events().iter().filter(|stored| positions.contains(&stored.position)).cloned().collect();
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        self.found.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(found)
    }

    /// In one look-up, as both stores.
    async fn read_within(&self, positions: &[u64], bytes: usize) -> Result<Vec<Stored>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        drop(self.gate.acquire().await);
        let events = self.events();
        let (mut found, mut read) = (Vec::new(), 0);
        for position in positions {
            let Ok(at) = events.binary_search_by_key(position, |stored| stored.position) else { continue };
            if read >= bytes {
                break;
            }
            read += events[at].text_bytes();
            found.push(events[at].clone());
        }
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        self.found.fetch_add(found.len() as u64, Ordering::Relaxed);
        Ok(found)
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        let events = self.events();
        let later = events.iter().filter(|stored| stored.aggregate == *aggregate && stored.sequence > after);
        let found: Vec<Stored> = later.take(limit).cloned().collect();
        let bytes = found.iter().map(Stored::text_bytes).sum::<usize>();
        self.most_loaded.fetch_max(bytes as u64, Ordering::Relaxed);
        Ok(found)
    }

    async fn find_commands(&self, _: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        Err(StoreError::Closed)
    }

    fn views(&self) -> Arc<dyn Views> {
        Arc::new(TestViews { real: self.real.views(), begun: self.begun.clone(), doubtful: self.doubtful.clone() })
    }

    fn describe(&self) -> String {
        "a log under test".to_owned()
    }

    async fn close(&self) {
        self.real.close().await;
    }
}

struct TestViews {
    real: Arc<dyn Views>,
    begun: Arc<AtomicU32>,
    doubtful: Arc<AtomicU32>,
}

#[async_trait]
impl Views for TestViews {
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        self.real.live(name, version).await
    }

    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError> {
        self.real.checkpoint(generation_id).await
    }

    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let Some(real) = self.real.begin(generation_id, from, to).await? else { return Ok(None) };
        Ok(Some(Box::new(TestTransaction { real, doubtful: self.doubtful.clone() })))
    }

    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        self.real.shadow(name, version).await
    }

    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError> {
        self.real.switch(shadow).await
    }

    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError> {
        self.real.discard(generation_id).await
    }

    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        self.real.read(name, version).await
    }

    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        self.real.set_note(name, version, about, note).await
    }

    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError> {
        self.real.note(name, version, about).await
    }

    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.real.acquire_leases(owner, wanted, term).await
    }

    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError> {
        self.real.release_leases(owner).await
    }

    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        self.real.generations().await
    }

    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError> {
        self.real.prune(name, version).await
    }
}

struct TestTransaction {
    real: Box<dyn Transaction>,
    doubtful: Arc<AtomicU32>,
}

#[async_trait]
impl Transaction for TestTransaction {
    fn table(&self, table: &str) -> String {
        self.real.table(table)
    }

    async fn create_table(&mut self, table: &Table) -> Result<(), StoreError> {
        self.real.create_table(table).await
    }

    async fn add_key(&mut self, table: &Table) -> Result<(), StoreError> {
        self.real.add_key(table).await
    }

    async fn create_index(&mut self, table: &Table, index: &Index) -> Result<(), StoreError> {
        self.real.create_index(table, index).await
    }

    async fn execute(&mut self, sql: &str, parameters: crate::store::Row) -> Result<u64, StoreError> {
        self.real.execute(sql, parameters).await
    }

    async fn query(
        &mut self,
        sql: &str,
        parameters: crate::store::Row,
    ) -> Result<Vec<crate::store::Row>, StoreError> {
        self.real.query(sql, parameters).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let left = self.doubtful.load(Ordering::Relaxed);
        if left == 0 {
            return self.real.commit().await;
        }
        self.doubtful.store(left - 1, Ordering::Relaxed);
        if left.is_multiple_of(2) {
            self.real.commit().await?;
        }
        Err(StoreError::OutcomeUnknown("the connection was cut".into()))
    }
}
