//! Mission X6: a third store, written outside of the crate, passes the conformance suite. Its log is a list in memory;
//! for the tables of projections it borrows those of an SQLite store. See `docs/guide/writing-a-store.md`.
#![cfg(all(feature = "conformance", feature = "sqlite"))]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals::events::{LogPosition, Ref, Stored};
use annals::store::conformance::Fixture;
use annals::store::{
    Batch, Commit, ConflictSet, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, Receipt, Store,
    StoreError, Views, WriteLock,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::sync::{OwnedMutexGuard, watch};
use uuid::Uuid;

/// The most that a program's clock may be ahead of this machine's.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 1_830);

struct InMemory {
    shared: Arc<Shared>,
    directory: TempDir,
}

impl InMemory {
    fn new() -> Self {
        let (head, _) = watch::channel(LogPosition::default());
        let shared = Shared { log: Mutex::default(), writing: Arc::default(), head };
        Self { shared: Arc::new(shared), directory: tempfile::tempdir().expect("a directory") }
    }
}

#[async_trait]
impl Fixture for InMemory {
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        let url = format!("sqlite://{}", self.directory.path().join("tables.db").display());
        {
            let mut log = self.shared.log.lock().unwrap();
            match &*log {
                None if !options.create => return Err(StoreError::Missing("memory:".to_owned())),
                None => {
                    *log = Some(Log { app: options.app.clone(), id: Uuid::new_v4().to_string(), ..Log::default() })
                }
                Some(log) if log.app != options.app => {
                    let reason = format!("it belongs to the application {}, not to {}", log.app, options.app);
                    return Err(StoreError::Unusable { store: "memory:".to_owned(), reason });
                }
                Some(_) => {}
            }
        }
        let clock = options.clock.clone();
        let tables = annals::store::open(&url, OpenOptions { create: true, ..options }).await?;
        Ok(Arc::new(MemoryStore { shared: self.shared.clone(), tables, clock, closed: AtomicBool::new(false) }))
    }

    fn has_backups(&self) -> bool {
        false
    }
}

struct Shared {
    log: Mutex<Option<Log>>,
    /// Locked during an append, and by a write lock.
    writing: Arc<tokio::sync::Mutex<()>>,
    head: watch::Sender<LogPosition>,
}

#[derive(Default)]
struct Log {
    app: String,
    id: String,
    events: Vec<Stored>,
    commands: HashMap<Uuid, (String, KnownCommand)>,
    /// What the log requires of programs.
    requires: String,
}

impl Log {
    fn head(&self) -> LogPosition {
        self.events.last().map(Stored::head).unwrap_or_default()
    }

    fn sequence(&self, aggregate: &Ref) -> u64 {
        self.events.iter().filter(|event| event.aggregate == *aggregate).count() as u64
    }

    fn append(&mut self, batch: &Batch, clock: Timestamp) -> Result<Vec<Outcome>, StoreError> {
        batch.check_requirements(&self.requires)?;
        let now = Timestamp::now();
        let unknown = |commit: &&Commit| !self.commands.contains_key(&commit.command_id());
        if clock.duration_since(now) > AHEAD && batch.commits().iter().any(|commit| unknown(&commit)) {
            let reason =
                "the program's clock is more than 1830 days ahead: set the clock (clock_ahead_days is 1830 here)"
                    .to_owned();
            return Err(StoreError::Unusable { store: "memory:".to_owned(), reason });
        }
        if batch.commits().iter().any(|commit| !batch.may_be_stored(commit) && !unknown(&commit)) {
            return Err(StoreError::Rejected {
                doing: "appending",
                source: "the command id exists already".into(),
            });
        }
        let now = clock.min(now);
        if let Some(until) = batch.valid_until() {
            let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
            if recorded_at >= until {
                return Err(StoreError::Expired(recorded_at));
            }
        }
        let mut conflicts = ConflictSet::default();
        let outcomes = batch.commits().iter().map(|commit| {
            let outcome = self.decide(commit, &conflicts, now);
            if !outcome.is_committed() {
                conflicts.add(commit);
            }
            outcome
        });
        Ok(outcomes.collect())
    }

    fn decide(&mut self, commit: &Commit, conflicts: &ConflictSet, now: Timestamp) -> Outcome {
        if let Some((name, known)) = self.commands.get(&commit.command_id()) {
            return match known.body_digest == *commit.body_digest() && name == commit.command() {
                true => Outcome::Duplicate(known.receipt),
                false => Outcome::IdReused,
            };
        }
        let moved = commit.streams().iter().any(|stream| self.sequence(stream.aggregate()) != stream.expected());
        if conflicts.affects(commit) || moved {
            return Outcome::Conflict;
        }
        let before = self.head().position;
        let now = Timestamp::from_microsecond(now.as_microsecond()).expect("a time in range");
        let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
        for stream in commit.streams() {
            for ((event, digest), sequence) in
                stream.events().iter().zip(stream.digests()).zip(stream.expected() + 1..)
            {
                let index = usize::try_from(self.head().position - before).expect("few events");
                self.events.push(Stored {
                    position: self.head().position + 1,
                    event_id: next_id(self.head().event_id, now),
                    aggregate: stream.aggregate().clone(),
                    sequence,
                    event_type: event.event_type().to_owned(),
                    event_version: event.event_version().to_owned(),
                    payload: event.payload().to_owned(),
                    metadata: commit.metadata(index).to_owned(),
                    command_id: commit.command_id(),
                    occurred_at: commit.occurred_at().unwrap_or(recorded_at),
                    recorded_at,
                    digest: *digest,
                });
            }
        }
        if let Some(name) = commit.requires() {
            // The only one that there is.
            self.requires = name.to_owned();
        }
        let head = self.head();
        let receipt = Receipt {
            command_id: commit.command_id(),
            first_position: if head.position > before { before + 1 } else { before },
            events: head.position - before,
            head,
            recorded_at,
            repeated: false,
        };
        if commit.keeps_command() {
            let known = KnownCommand {
                body_digest: *commit.body_digest(),
                receipt: Receipt { repeated: true, ..receipt },
                command: commit.command().to_owned(),
            };
            self.commands.insert(commit.command_id(), (commit.command().to_owned(), known));
        }
        Outcome::Committed(receipt)
    }
}

/// Returns a UUIDv7 of this time, or the id after `previous` if that is greater.
fn next_id(previous: Uuid, now: Timestamp) -> Uuid {
    let (seconds, nanos) = (now.as_second().max(0) as u64, now.subsec_nanosecond().max(0) as u32);
    let fresh = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos));
    fresh.max(Uuid::from_u128(previous.as_u128() + 1))
}

struct MemoryStore {
    shared: Arc<Shared>,
    tables: Arc<dyn Store>,
    clock: annals::store::Clock,
    closed: AtomicBool,
}

impl MemoryStore {
    fn read<T>(&self, read: impl FnOnce(&mut Log) -> T) -> Result<T, StoreError> {
        match (self.closed.load(Ordering::SeqCst), &mut *self.shared.log.lock().unwrap()) {
            (false, Some(log)) => Ok(read(log)),
            _ => Err(StoreError::Closed),
        }
    }
}

impl Shared {
    fn append(&self, batch: &Batch, clock: Timestamp) -> Result<Vec<Outcome>, StoreError> {
        let mut log = self.log.lock().unwrap();
        let log = log.as_mut().expect("an open log");
        let outcomes = log.append(batch, clock)?;
        self.head.send_if_modified(|head| std::mem::replace(head, log.head()) != log.head());
        Ok(outcomes)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.read(|_| ())?;
        let _guard = self.shared.writing.lock().await;
        self.shared.append(&batch, (self.clock)())
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        let locking = tokio::time::timeout(wait, self.shared.writing.clone().lock_owned());
        let guard = Arc::new(Mutex::new(Some(locking.await.map_err(|_| StoreError::Busy(wait))?)));
        let expiring = guard.clone();
        tokio::spawn(async move {
            tokio::time::sleep(hold).await;
            drop(expiring.lock().unwrap().take());
        });
        Ok(Box::new(HeldLock { shared: self.shared.clone(), clock: self.clock.clone(), guard, hold }))
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.read(|log| log.head())
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.read(|log| LogInfo { log_id: log.id.clone(), requires: log.requires.clone(), is_copy: false })
    }

    fn watch(&self) -> watch::Receiver<LogPosition> {
        self.shared.head.subscribe()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.read(|log| {
            let later = log.events.iter().filter(|event| event.position > after);
            let events: Vec<_> = later.filter(|event| interest.wants(event)).take(limit).cloned().collect();
            let to = match events.last() {
                Some(last) if events.len() == limit => last.head(),
                _ if log.head().position >= after => log.head(),
                _ => LogPosition { position: after, event_id: Uuid::nil() },
            };
            Page { events, to }
        })
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.read(|log| log.events.iter().filter(|event| positions.contains(&event.position)).cloned().collect())
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.read(|log| {
            let own = log.events.iter().filter(|event| event.aggregate == *aggregate && event.sequence > after);
            own.take(limit).cloned().collect()
        })
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        let known = |log: &Log, id| log.commands.get(id).map(|(_, known)| known.clone());
        self.read(|log| ids.iter().map(|id| known(log, id)).collect())
    }

    fn views(&self) -> Arc<dyn Views> {
        self.tables.views()
    }

    fn describe(&self) -> String {
        "a list in memory, not durable".to_owned()
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.tables.close().await;
    }
}

struct HeldLock {
    shared: Arc<Shared>,
    clock: annals::store::Clock,
    guard: Arc<Mutex<Option<OwnedMutexGuard<()>>>>,
    hold: Duration,
}

#[async_trait]
impl WriteLock for HeldLock {
    async fn load(&mut self, aggregate: &Ref, after: u64) -> Result<Vec<Stored>, StoreError> {
        if self.guard.lock().unwrap().is_none() {
            return Err(StoreError::Busy(self.hold));
        }
        let log = self.shared.log.lock().unwrap();
        let events = log.iter().flat_map(|log| &log.events);
        Ok(events.filter(|event| event.aggregate == *aggregate && event.sequence > after).cloned().collect())
    }

    async fn append(self: Box<Self>, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let guard = self.guard.lock().unwrap().take();
        let _guard = guard.ok_or(StoreError::Busy(self.hold))?;
        self.shared.append(&batch, (self.clock)())
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        drop(self.guard.lock().unwrap().take());
    }
}

annals::store_conformance_tests!(InMemory::new());
