//! [`RecordTask`]: the task that appends queued records.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::AccessLogId;
use super::commands::{RecordDenials, RecordOverflow, RecordRead};
use super::denials::{Count, window_of};
use super::recorder::{FAILING, QUEUE, RecorderState};
use crate::commands::{AnyCommand, Context, Engine, ExecuteError, Refusal, internal_id};
use crate::events::Ref;
use crate::store::Clock;
use crate::supervise::supervise;

/// The interval in which due counts of denials are recorded.
const COUNTS: Duration = Duration::from_millis(500);

/// The delay before a record is retried, and the most attempts while the application is closed.
const PAUSE: Duration = Duration::from_millis(200);
const LAST_TRIES: u32 = 5;

/// A record to be appended.
pub(super) struct Record {
    make: Box<dyn Fn() -> Box<dyn AnyCommand> + Send>,
    context: Context,
    /// The reason of a denial. It is counted if another process has recorded the same one.
    denied: Option<String>,
    /// A read, and its time. It is counted if the log has its record already.
    read: Option<(RecordRead, Timestamp)>,
    /// Notified when the record is durable.
    done: Option<oneshot::Sender<()>>,
    /// How often it was executed, or was about to be.
    attempts: u32,
    /// It is appended, or was given up.
    finished: bool,
}

impl Record {
    /// `context` has the id of the record: executing it again appends nothing.
    pub(super) fn new(command: impl AnyCommand + Clone + 'static, context: Context) -> Self {
        let make = Box::new(move || Box::new(command.clone()) as _);
        Self { make, context, denied: None, read: None, done: None, attempts: 0, finished: false }
    }

    pub(super) fn denied(self, reason: Option<String>) -> Self {
        Self { denied: reason, ..self }
    }

    pub(super) fn read(self, read: RecordRead, at: Timestamp) -> Self {
        Self { read: Some((read, at)), ..self }
    }

    pub(super) fn done(self, done: Option<oneshot::Sender<()>>) -> Self {
        Self { done, ..self }
    }
}

/// The task that appends queued records.
pub(super) struct RecordTask {
    /// Weak: the engine's access control owns the queue, which ends when the engine does.
    engine: Weak<Engine>,
    state: Arc<RecorderState>,
    clock: Clock,
    inbox: Mutex<Inbox>,
}

/// The queue, and the records that were taken out of it. They outlive a panic.
struct Inbox {
    queue: mpsc::Receiver<Record>,
    records: Vec<Record>,
}

impl RecordTask {
    pub(super) fn new(
        engine: &Arc<Engine>,
        state: Arc<RecorderState>,
        clock: Clock,
        queue: mpsc::Receiver<Record>,
    ) -> Self {
        let inbox = Mutex::new(Inbox { queue, records: Vec::new() });
        Self { engine: Arc::downgrade(engine), state, clock, inbox }
    }

    /// Appends records until the queue has ended, and starts again after each panic. A closed application gives up after
    /// some panics in a row.
    pub(super) async fn run(self) {
        let given_up = || async {
            if !(self.state.is_closing() && self.state.panics() >= FAILING) {
                std::future::pending::<()>().await;
            }
        };
        let on_panic = |_, message: &str| self.state.panicked(message);
        supervise("recorder of reads and refusals", || self.append_until_closed(), given_up, on_panic).await;
        let Inbox { queue, records } = self.inbox.into_inner();
        let lost = queue.len() + records.iter().filter(|record| !record.finished).count();
        if lost > 0 {
            tracing::error!(lost, "reads and refusals could not be recorded before the application was closed");
        }
    }

    async fn append_until_closed(&self) {
        let mut inbox = self.inbox.lock().await;
        let Inbox { queue, records } = &mut *inbox;
        let mut ended = false;
        loop {
            // First, what an earlier run left behind when it panicked.
            self.append_all(records).await;
            // Counts of denials do not come through the queue.
            self.add_counts(records, ended);
            self.append_all(records).await;
            self.state.progressed();
            if ended {
                return;
            }
            let received = tokio::time::timeout(COUNTS, queue.recv_many(records, QUEUE)).await;
            ended = received.is_ok_and(|many| many == 0);
        }
    }

    /// Adds records of the counts of reads, denials and refusals that are not recorded singly.
    fn add_counts(&self, records: &mut Vec<Record>, all: bool) {
        let now = (self.clock)();
        for repeat in self.state.repeats.iter().flat_map(|repeats| repeats.due(now, all)) {
            records.push(Record::new(repeat.record, repeat.context.internal(internal_id::random())));
        }
        let today = AccessLogId::for_time(now);
        for Count { context, reason, denials } in self.state.denials.due(Instant::now(), all) {
            let command = RecordDenials { log: today.clone(), reason, denials };
            records.push(Record::new(command, context.internal(internal_id::random())));
        }
        let refusals = self.state.overflow.swap(0, Ordering::Relaxed);
        if refusals > 0 {
            let recorder = Context::by(Ref::unchecked("annals", "recorder")).internal(internal_id::random());
            records.push(Record::new(RecordOverflow { log: today, refusals }, recorder));
        }
    }

    /// Appends all records: each one that a caller waits for after the ones before it.
    async fn append_all(&self, records: &mut Vec<Record>) {
        for together in records.chunk_by_mut(|one, next| one.done.is_none() && next.done.is_none()) {
            let unfinished = together.iter_mut().filter(|record| !record.finished);
            futures::future::join_all(unfinished.map(|record| self.append(record))).await;
        }
        records.clear();
    }

    /// Appends a record, with retries, unless the error is permanent.
    async fn append(&self, record: &mut Record) {
        loop {
            let Some(engine) = self.engine.upgrade() else { break };
            record.attempts += 1;
            let error = match engine.execute((record.make)(), &record.context).await {
                // A repeated receipt: another process recorded the same, or an answer was lost.
                Ok(receipt) => {
                    if let Some(reason) = record.denied.take().filter(|_| receipt.repeated && record.attempts == 1)
                    {
                        self.state.denials.count(&record.context, &reason);
                    }
                    let again = record.read.take().filter(|_| receipt.repeated && record.attempts == 1);
                    if let (Some((read, at)), Some(repeats)) = (again, &self.state.repeats)
                        && let Some(full) = repeats.count(&read, &record.context, at, window_of(at.as_second()))
                    {
                        *record = Record::new(full.record, full.context.internal(internal_id::random()))
                            .done(record.done.take());
                        continue;
                    }
                    // The caller may have stopped waiting.
                    let _ = record.done.take().map(|done| done.send(()));
                    break;
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
            if !is_transient(&error) || self.state.is_closing() && record.attempts >= LAST_TRIES {
                if let Some(id) = record.context.id() {
                    self.state.reads.invalidate(&id);
                }
                // The caller's read fails.
                (record.done, record.finished) = (None, true);
                let actor = record.context.actor().as_str();
                tracing::error!(%error, actor, "a read or refusal could not be recorded");
                return;
            }
            tracing::warn!(%error, "a read or refusal could not be recorded yet; trying again");
            tokio::time::sleep(PAUSE).await;
        }
        record.finished = true;
    }
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
