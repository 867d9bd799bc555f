//! A wrapper around a store that loses answers, fails and panics according to a script.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals::events::{LogPosition, Ref, Stored};
use annals::store::{
    Batch, Finding, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, Store, StoreError, Views,
    WriteLock,
};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

/// The fault of one call of `append`.
pub enum Fault {
    /// No fault.
    Nothing,
    /// The batch is appended, and the answer is lost.
    LoseAnswer,
    /// The call is lost before the append.
    LoseCall,
    /// The store fails without appending.
    Fail(StoreError),
    /// The store panics without appending.
    Panic,
}

/// A store with a script of faults for its next calls of `append`. Without a script it behaves like the inner store.
pub struct Unreliable {
    inner: Arc<dyn Store>,
    script: Mutex<VecDeque<Fault>>,
    /// Look-ups do not find command ids, as if these were appended just afterwards.
    blind: AtomicBool,
    /// How reads are answered.
    reads: watch::Sender<Reads>,
}

/// How reads of the log are answered.
#[allow(dead_code, reason = "tests of live streams use it, and share this file")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Answered,
    /// They fail.
    Failing,
    /// They wait.
    Frozen,
}

impl Unreliable {
    pub async fn open(url: &str) -> Arc<Self> {
        let options = OpenOptions { app: "bank".to_owned(), clock: Arc::new(Timestamp::now), create: true };
        let inner = annals::store::open(url, options).await.unwrap();
        let reads = watch::channel(Reads::Answered).0;
        Arc::new(Self { inner, script: Mutex::default(), blind: AtomicBool::new(false), reads })
    }

    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.script.lock().unwrap().extend(faults);
    }

    pub fn blind(&self, blind: bool) {
        self.blind.store(blind, Ordering::SeqCst);
    }

    #[allow(dead_code, reason = "tests of live streams use it, and share this file")]
    pub fn reads(&self, reads: Reads) {
        self.reads.send_replace(reads);
    }

    /// Waits until reads are answered, or fails.
    async fn answer(&self) -> Result<(), StoreError> {
        let mut reads = self.reads.subscribe();
        let reads = *reads.wait_for(|reads| *reads != Reads::Frozen).await.unwrap();
        match reads {
            Reads::Failing => Err(StoreError::Database { doing: "reading", source: "the disk is broken".into() }),
            _ => Ok(()),
        }
    }

    /// Drops the rest of the script.
    pub fn recover(&self) {
        self.script.lock().unwrap().clear();
    }

    /// Returns whether the whole script has been used.
    pub fn is_done(&self) -> bool {
        self.script.lock().unwrap().is_empty()
    }
}

fn lost() -> StoreError {
    StoreError::OutcomeUnknown("the line was cut".into())
}

#[async_trait]
impl Store for Unreliable {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let fault = self.script.lock().unwrap().pop_front();
        match fault {
            None | Some(Fault::Nothing) => self.inner.append(batch).await,
            Some(Fault::LoseAnswer) => {
                self.inner.append(batch).await.unwrap();
                Err(lost())
            }
            Some(Fault::LoseCall) => Err(lost()),
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Panic) => panic!("as the script says"),
        }
    }

    async fn find_commands(&self, ids: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        match self.blind.load(Ordering::SeqCst) {
            true => Ok(vec![None; ids.len()]),
            false => self.inner.find_commands(ids).await,
        }
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        self.inner.write_lock(wait, hold).await
    }

    async fn head(&self) -> Result<LogPosition, StoreError> {
        self.answer().await?;
        self.inner.head().await
    }

    async fn info(&self) -> Result<LogInfo, StoreError> {
        self.inner.info().await
    }

    fn watch(&self) -> watch::Receiver<LogPosition> {
        self.inner.watch()
    }

    async fn read(&self, after: u64, limit: usize, interest: &Interest) -> Result<Page, StoreError> {
        self.answer().await?;
        self.inner.read(after, limit, interest).await
    }

    async fn read_at(&self, positions: &[u64]) -> Result<Vec<Stored>, StoreError> {
        self.answer().await?;
        self.inner.read_at(positions).await
    }

    async fn load(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.answer().await?;
        self.inner.load(aggregate, after, limit).await
    }

    fn views(&self) -> Arc<dyn Views> {
        self.inner.views()
    }

    async fn check_integrity(&self) -> Result<Vec<Finding>, StoreError> {
        self.inner.check_integrity().await
    }

    async fn backup(&self, to: &Path, progress: Box<dyn FnMut(u64, u64) + Send>) -> Result<(), StoreError> {
        self.inner.backup(to, progress).await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
