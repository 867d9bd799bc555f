//! [`AccessRecorder`]: the queue of records.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::AccessLogId;
use super::commands::{RecordRead, RecordRefusal};
use super::denials::{Denials, Merged, window_of};
use super::record_task::{Record, RecordTask};
use super::repeats::Repeats;
use crate::commands::{AnyCommand, Context, Engine, internal_id};
use crate::events::Ref;
use crate::projections::audit::{ExportTarget, RecordedFilters};
use crate::store::{Clock, StoreError};

/// The capacity of the queue. If it is full, a reader waits, and a refusal is counted.
pub(super) const QUEUE: usize = 1_024;

/// After this many panics in a row without progress, a read that waits for the task fails.
pub(super) const FAILING: u32 = 5;

/// The most reads in memory, so that the same one is not queued again. The store recognises older ones by command id.
const REMEMBERED: u64 = 10_000;

/// The time window, in seconds, in which equal queries of one actor are one record.
pub(super) const WINDOW: i64 = 10 * 60;

/// The longest text of a record, in characters.
const LONGEST: usize = 1_000;

/// Queues records. A task of its own appends each durably once, and all of them before the application is closed.
pub(in crate::app) struct AccessRecorder {
    queue: Mutex<Option<mpsc::Sender<Record>>>,
    state: Arc<RecorderState>,
    task: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
}

/// What the recorder and its task share.
pub(super) struct RecorderState {
    /// The command ids of queued reads.
    pub reads: Cache<Uuid, ()>,
    pub denials: Denials,
    /// Counts reads that are recorded already, if the application keeps flows.
    pub repeats: Option<Repeats>,
    /// The number of refusals that found the queue full.
    pub overflow: AtomicU64,
    closing: AtomicBool,
    panics: watch::Sender<Panics>,
}

/// The panics of the task since it last made progress.
#[derive(Clone, Debug, Default)]
struct Panics {
    count: u32,
    last: String,
}

impl RecorderState {
    fn new(counts_repeats: bool) -> Self {
        Self {
            reads: Cache::new(REMEMBERED),
            denials: Denials::default(),
            repeats: counts_repeats.then(Repeats::default),
            overflow: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            panics: watch::Sender::default(),
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// The number of panics since the task last made progress.
    pub(super) fn panics(&self) -> u32 {
        self.panics.borrow().count
    }

    pub(super) fn panicked(&self, message: &str) {
        self.panics.send_modify(|panics| {
            panics.count += 1;
            message.clone_into(&mut panics.last);
        });
    }

    pub(super) fn progressed(&self) {
        self.panics.send_if_modified(|panics| std::mem::take(&mut panics.count) > 0);
    }

    /// Returns an error once the task has panicked too often in a row: nobody waits for it then.
    async fn failed(&self) -> StoreError {
        let mut panics = self.panics.subscribe();
        match panics.wait_for(|panics| panics.count >= FAILING).await {
            Ok(panics) => StoreError::Database {
                doing: "recording the read",
                source: format!(
                    "the task that records reads panicked {} times in a row, the last time with `{}`; it is started \
                     again: fix the cause, or restart the program",
                    panics.count, panics.last
                )
                .into(),
            },
            Err(_) => StoreError::Closed,
        }
    }
}

/// A read to be recorded.
#[derive(Clone, Debug)]
pub(in crate::app) struct Read<'a> {
    /// The query as text.
    pub what: &'a str,
    /// The projection, and the references in the query.
    pub of: &'a [Ref],
    /// The filters of the query.
    pub asked: RecordedFilters,
    /// The target, if it is an export.
    pub export: Option<&'a ExportTarget>,
}

/// The receiving end of the queue, until the task starts.
pub(in crate::app) struct RecordReceiver(mpsc::Receiver<Record>);

impl AccessRecorder {
    /// `counts_repeats`: count reads that are recorded already.
    pub(in crate::app) fn new(clock: Clock, counts_repeats: bool) -> (Self, RecordReceiver) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (queue, state) = (Mutex::new(Some(sender)), Arc::new(RecorderState::new(counts_repeats)));
        (Self { queue, state, task: Mutex::new(None), clock }, RecordReceiver(receiver))
    }

    /// Starts the task that appends records.
    pub(in crate::app) fn start(&self, receiver: RecordReceiver, engine: &Arc<Engine>) {
        let task = RecordTask::new(engine, self.state.clone(), self.clock.clone(), receiver.0);
        let task = tokio::spawn(task.run());
        self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(task);
    }

    /// Records a read by the context's actor: once in ten minutes for the same query, over all processes. Further ones are counted, if
    /// the application keeps flows. Returns when the record is queued; for an export, when it is durable.
    ///
    /// # Errors
    /// When the application is being closed, or the record has to wait and the task keeps panicking.
    pub(in crate::app) async fn read(&self, context: &Context, read: &Read<'_>) -> Result<(), StoreError> {
        let now = (self.clock)();
        let begin = window_of(now.as_second());
        let waits = read.export.is_some();
        let command = RecordRead {
            log: AccessLogId::for_time(Timestamp::from_second(begin).unwrap_or_default()),
            what: shortened(read.what),
            of: read.of.to_vec(),
            asked: bounded(&read.asked),
            left: read.export.map(|target| (target.format.clone(), target.head.position)),
            to: read.export.and_then(|target| target.to.clone()),
        };
        let id = id_of(&command, context, &begin.to_be_bytes());
        let context = context.internal(id);
        if !waits && self.state.reads.contains_key(&id) {
            return self.again(&command, &context, now, begin).await;
        }
        let queue = self.queue().ok_or(StoreError::Closed)?;
        // Reserve first, then remember: a caller that stops waiting must leave no trace.
        let room = tokio::select! {
            biased;
            room = queue.reserve() => room.map_err(|_| StoreError::Closed)?,
            failed = self.state.failed() => return Err(failed),
        };
        if self.state.reads.entry(id).or_insert(()).is_fresh() || waits {
            let (done, recorded) = oneshot::channel();
            let record = Record::new(command.clone(), context).read(command, now).done(waits.then_some(done));
            room.send(record);
            if waits {
                return tokio::select! {
                    biased;
                    recorded = recorded => recorded.map_err(|_| StoreError::Closed),
                    failed = self.state.failed() => Err(failed),
                };
            }
            return Ok(());
        }
        drop(room);
        self.again(&command, &context, now, begin).await
    }

    /// Counts a read that is recorded already. If there is no room for the count, it is recorded at once.
    async fn again(
        &self,
        command: &RecordRead,
        context: &Context,
        now: Timestamp,
        begin: i64,
    ) -> Result<(), StoreError> {
        let repeats = self.state.repeats.as_ref();
        let Some(full) = repeats.and_then(|repeats| repeats.count(command, context, now, begin)) else {
            return Ok(());
        };
        let queue = self.queue().ok_or(StoreError::Closed)?;
        let record = Record::new(full.record, full.context.internal(internal_id::random()));
        tokio::select! {
            biased;
            sent = queue.send(record) => sent.map_err(|_| StoreError::Closed),
            failed = self.state.failed() => Err(failed),
        }
    }

    /// Records a refusal, or counts it: a denial that the actor got before in this window, or a refusal that finds the queue
    /// full. Never blocks.
    pub(in crate::app) fn refused(&self, context: &Context, what: &str, on: &[Ref], reason: &str, denied: bool) {
        let now = (self.clock)();
        let log = AccessLogId::for_time(now);
        let command =
            RecordRefusal { log, what: shortened(what), on: on.to_vec(), reason: shortened(reason), denied };
        let id = match (denied, context.id()) {
            (true, _) => {
                let begin = window_of(now.as_second());
                let digest = digest_of(&command, context);
                match self.state.denials.merge(context, digest, &command.reason, begin) {
                    Merged::First => internal_id::derive(&digest, &begin.to_be_bytes()),
                    Merged::Counted => return,
                    Merged::TooManyActors => {
                        self.state.overflow.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
            // A command that is refused again with the same id and reason is the same refusal.
            (false, Some(id)) => id_of(&command, context, id.as_bytes()),
            (false, None) => internal_id::random(),
        };
        let denied = denied.then(|| command.reason.clone());
        let record = Record::new(command, context.internal(id)).denied(denied);
        if self.queue().is_none_or(|queue| queue.try_send(record).is_err()) {
            self.state.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Appends what is queued, and stops the recorder.
    pub(in crate::app) async fn close(&self) {
        self.state.closing.store(true, Ordering::Relaxed);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that records reads and refusals failed");
        }
    }

    /// Whether the task runs: not from a panic until it has made progress again.
    #[cfg(feature = "http")]
    pub(in crate::app) fn is_running(&self) -> bool {
        self.state.panics() == 0
    }

    fn queue(&self) -> Option<mpsc::Sender<Record>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the digest of a record's content and actor.
fn digest_of(command: &dyn AnyCommand, context: &Context) -> [u8; 32] {
    command.digest(context).unwrap_or_else(|error| {
        tracing::error!(%error, "a record cannot be written as JSON");
        [0; 32]
    })
}

/// Returns the id of a record. Equal records of one window, or of one command, have the same id.
fn id_of(command: &dyn AnyCommand, context: &Context, more: &[u8]) -> Uuid {
    internal_id::derive(&digest_of(command, context), more)
}

/// Cuts a text to [`LONGEST`] characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Removes filters that would make the record too long. The record then covers more than the query did.
fn bounded(asked: &RecordedFilters) -> RecordedFilters {
    let short = |(_, values): &(&String, &Vec<String>)| values.iter().all(|value| value.len() <= LONGEST);
    asked.iter().filter(short).map(|(filter, values)| (filter.clone(), values.clone())).collect()
}
