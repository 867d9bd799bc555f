//! [`AccessRecorder`]: the queue of records, and the task that appends them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::AccessLogId;
use super::commands::{RecordDenials, RecordOverflow, RecordRead, RecordRefusal};
use super::denials::{Count, Denials, Merged, window_of};
use crate::commands::{AnyCommand, Context, Engine, ExecuteError, Refusal, internal_id};
use crate::events::Ref;
use crate::projections::audit::{ExportTarget, RecordedFilters};
use crate::store::Clock;

/// The capacity of the queue. If it is full, a reader waits, and a refusal is counted.
const WAITING: usize = 1_024;

/// The most reads in memory, so that the same one is not queued again. The store recognises older ones by command id.
const REMEMBERED: u64 = 10_000;

/// The time window, in seconds, in which equal queries of one actor are one record.
pub(super) const WINDOW: i64 = 10 * 60;

/// The longest text of a record, in characters.
const LONGEST: usize = 1_000;

/// The interval in which due counts of denials are recorded.
const COUNTS: Duration = Duration::from_millis(500);

/// The delay before a record is retried, and the most attempts while the application is closed.
const PAUSE: Duration = Duration::from_millis(200);
const LAST_TRIES: u32 = 5;

/// Queues records. A task of its own appends each durably once, and all of them before the application is closed.
pub(in crate::app) struct AccessRecorder {
    queue: Mutex<Option<mpsc::Sender<Record>>>,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
}

struct Shared {
    /// The command ids of queued reads.
    reads: Cache<Uuid, ()>,
    denials: Denials,
    /// The number of refusals that found the queue full.
    overflow: AtomicU64,
    closing: std::sync::atomic::AtomicBool,
}

/// The application is being closed: nothing more is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Closed;

struct Record {
    make: Box<dyn Fn() -> Box<dyn AnyCommand> + Send>,
    context: Context,
    /// The reason of a denial. It is counted if another process has recorded the same one.
    denied: Option<String>,
    /// Notified when the record is durable.
    done: Option<oneshot::Sender<()>>,
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
    pub(in crate::app) fn new(clock: Clock) -> (Self, RecordReceiver) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let shared = Shared {
            reads: Cache::new(REMEMBERED),
            denials: Denials::default(),
            overflow: AtomicU64::new(0),
            closing: std::sync::atomic::AtomicBool::new(false),
        };
        let queue = Mutex::new(Some(sender));
        (Self { queue, shared: Arc::new(shared), task: Mutex::new(None), clock }, RecordReceiver(receiver))
    }

    /// Starts the task that appends records.
    pub(in crate::app) fn start(&self, receiver: RecordReceiver, engine: &Arc<Engine>) {
        let task = Task { engine: Arc::downgrade(engine), shared: self.shared.clone(), clock: self.clock.clone() };
        let task = tokio::spawn(task.run(receiver.0));
        self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(task);
    }

    /// Records a read by the context's actor: once in ten minutes for the same query, over all processes. Returns when the
    /// record is queued; for an export, when it is durable.
    pub(in crate::app) async fn read(&self, context: &Context, read: &Read<'_>) -> Result<(), Closed> {
        let begin = window_of((self.clock)().as_second());
        let waits = read.export.is_some();
        let command = RecordRead {
            log: AccessLogId::for_time(Timestamp::from_second(begin).unwrap_or_default()),
            what: shortened(read.what),
            of: read.of.to_vec(),
            asked: bounded(&read.asked),
            left: read.export.map(|target| (target.format.clone(), target.head.position)),
        };
        let id = id_of(&command, context, &begin.to_be_bytes());
        if !waits && self.shared.reads.contains_key(&id) {
            return Ok(());
        }
        let queue = self.queue().ok_or(Closed)?;
        // Reserve first, then remember: a caller that stops waiting must leave no trace.
        let room = queue.reserve().await.map_err(|_| Closed)?;
        if self.shared.reads.entry(id).or_insert(()).is_fresh() || waits {
            let (done, recorded) = oneshot::channel();
            let (make, done) = (Box::new(move || Box::new(command.clone()) as _), waits.then_some(done));
            room.send(Record { make, context: context.internal(id), denied: None, done });
            if waits {
                return recorded.await.map_err(|_| Closed);
            }
        }
        Ok(())
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
                match self.shared.denials.merge(context, digest, &command.reason, begin) {
                    Merged::First => internal_id::derive(&digest, &begin.to_be_bytes()),
                    Merged::Counted => return,
                    Merged::TooManyActors => {
                        self.shared.overflow.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
            // A command that is refused again with the same id and reason is the same refusal.
            (false, Some(id)) => id_of(&command, context, id.as_bytes()),
            (false, None) => internal_id::random(),
        };
        let denied = denied.then(|| command.reason.clone());
        let make = Box::new(move || Box::new(command.clone()) as _);
        let record = Record { make, context: context.internal(id), denied, done: None };
        if self.queue().is_none_or(|queue| queue.try_send(record).is_err()) {
            self.shared.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Appends what is queued, and stops the recorder.
    pub(in crate::app) async fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that records reads and refusals failed");
        }
    }

    fn queue(&self) -> Option<mpsc::Sender<Record>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Task {
    /// Weak: the engine's access control owns the queue, which ends when the engine does.
    engine: Weak<Engine>,
    shared: Arc<Shared>,
    clock: Clock,
}

impl Task {
    async fn run(self, mut queue: mpsc::Receiver<Record>) {
        let mut records = Vec::new();
        loop {
            // Counts of denials do not come through the queue.
            let received = tokio::time::timeout(COUNTS, queue.recv_many(&mut records, WAITING)).await;
            let ended = received.is_ok_and(|many| many == 0);
            let mut together = Vec::new();
            for record in records.drain(..) {
                // Append all earlier reads before an export.
                let alone = record.done.is_some();
                if alone {
                    futures::future::join_all(together.drain(..)).await;
                }
                together.push(self.append(record));
                if alone {
                    futures::future::join_all(together.drain(..)).await;
                }
            }
            futures::future::join_all(together).await;
            self.append_counts(ended).await;
            if ended {
                return;
            }
        }
    }

    /// Appends the counts of denials and refusals that are not recorded singly.
    async fn append_counts(&self, all: bool) {
        let today = || AccessLogId::for_time((self.clock)());
        for Count { context, reason, denials } in self.shared.denials.due(Instant::now(), all) {
            let command = RecordDenials { log: today(), reason, denials };
            let make = Box::new(move || Box::new(command.clone()) as _);
            self.append(Record {
                make,
                context: context.internal(internal_id::random()),
                denied: None,
                done: None,
            })
            .await;
        }
        let refusals = self.shared.overflow.swap(0, Ordering::Relaxed);
        if refusals > 0 {
            let command = RecordOverflow { log: today(), refusals };
            let recorder = Context::by(Ref::unchecked("annals", "recorder")).internal(internal_id::random());
            let make = Box::new(move || Box::new(command.clone()) as _);
            self.append(Record { make, context: recorder, denied: None, done: None }).await;
        }
    }

    /// Appends a record, with retries, unless the error is permanent.
    async fn append(&self, mut record: Record) {
        let mut tries = 0;
        loop {
            let Some(engine) = self.engine.upgrade() else { return };
            let error = match engine.execute((record.make)(), &record.context).await {
                // A repeated receipt: another process recorded the same, or an answer was lost.
                Ok(receipt) => {
                    if let Some(reason) = record.denied.filter(|_| receipt.repeated && tries == 0) {
                        self.shared.denials.count(&record.context, &reason);
                    }
                    // The caller may have stopped waiting.
                    let _ = record.done.map(|done| done.send(()));
                    return;
                }
                // Another command: a record's id covers its whole content. No command may suppress a record.
                Err(ExecuteError::CommandIdReused(id)) => {
                    tracing::error!(command_id = %id, "another command has the id of a record: the record gets a new id");
                    record.context = record.context.internal(internal_id::random());
                    continue;
                }
                Err(error) => error,
            };
            drop(engine);
            tries += 1;
            let closing = self.shared.closing.load(Ordering::Relaxed);
            if !is_transient(&error) || closing && tries >= LAST_TRIES {
                if let Some(id) = record.context.id() {
                    self.shared.reads.invalidate(&id);
                }
                let actor = record.context.actor().as_str();
                tracing::error!(%error, actor, "a read or refusal could not be recorded");
                return;
            }
            tracing::warn!(%error, "a read or refusal could not be recorded yet; trying again");
            tokio::time::sleep(PAUSE).await;
        }
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

/// Whether a retry may succeed.
fn is_transient(error: &ExecuteError<Refusal>) -> bool {
    matches!(
        error,
        ExecuteError::Conflict { .. }
            | ExecuteError::OutcomeUnknown { .. }
            | ExecuteError::Store(_)
            | ExecuteError::Load(_)
    )
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
