//! [`Recorder`]: the queue of what is to be recorded, and the task that records it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::TrailId;
use super::commands::{RecordOverflow, RecordRead, RecordRefusal};
use crate::commands::{AnyCommand, Context, Engine, ExecuteError, Refusal};
use crate::events::Ref;
use crate::projections::audit::{AskedFor, Leaving};
use crate::store::Clock;

/// How many records wait. A reader for whose record there is no room waits too; a refusal that finds none is counted.
const WAITING: usize = 1_024;

/// How many reads are remembered, so that the same one is not queued again: what is forgotten, the store still knows by
/// its command id.
const REMEMBERED: u64 = 10_000;

/// The same question of the same actor is one record in this time.
pub(super) const WINDOW: i64 = 10 * 60;

/// The longest text of a record, in characters.
const LONGEST: usize = 1_000;

/// How long to wait before a record is tried again, and how often it is tried while the application closes.
const PAUSE: Duration = Duration::from_millis(200);
const LAST_TRIES: u32 = 5;

/// Takes records in. They are appended by a task of their own, each durably once, and all of them before the application
/// is closed.
pub(in crate::app) struct Recorder {
    queue: Mutex<Option<mpsc::Sender<Record>>>,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
    clock: Clock,
}

struct Shared {
    /// Reads that were queued, by command id.
    reads: Cache<Uuid, ()>,
    /// Refusals for which there was no room.
    overflow: AtomicU64,
    closing: std::sync::atomic::AtomicBool,
}

/// The application is being closed: nothing is recorded any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) struct Closed;

struct Record {
    make: Box<dyn Fn() -> Box<dyn AnyCommand> + Send>,
    context: Context,
    /// Who waits until it is durable.
    done: Option<oneshot::Sender<()>>,
}

/// What is read.
#[derive(Clone, Debug)]
pub(in crate::app) struct Read<'a> {
    /// In words.
    pub what: &'a str,
    /// The projection, and what the question names.
    pub of: &'a [Ref],
    /// Filter by filter.
    pub asked: AskedFor,
    /// Where it goes, if it is exported.
    pub leaves: Option<&'a Leaving>,
}

/// What records are appended through, once it is there.
pub(in crate::app) struct Behind(mpsc::Receiver<Record>);

impl Recorder {
    pub(in crate::app) fn new(clock: Clock) -> (Self, Behind) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let shared = Shared {
            reads: Cache::new(REMEMBERED),
            overflow: AtomicU64::new(0),
            closing: std::sync::atomic::AtomicBool::new(false),
        };
        let queue = Mutex::new(Some(sender));
        (Self { queue, shared: Arc::new(shared), task: Mutex::new(None), clock }, Behind(receiver))
    }

    /// Begins to append.
    pub(in crate::app) fn start(&self, behind: Behind, engine: &Arc<Engine>) {
        let task = Task { engine: Arc::downgrade(engine), shared: self.shared.clone(), clock: self.clock.clone() };
        let task = tokio::spawn(task.run(behind.0));
        self.task.lock().unwrap_or_else(PoisonError::into_inner).replace(task);
    }

    /// Records that the context's actor reads something, once in ten minutes for the same words, in whatever process. It
    /// returns when that is queued; when something is exported, once it is durable.
    pub(in crate::app) async fn read(&self, context: &Context, read: &Read<'_>) -> Result<(), Closed> {
        let now = (self.clock)().as_second();
        let begin = now - now.rem_euclid(WINDOW);
        let metadata = context.metadata();
        let principal = metadata.on_behalf_of.as_ref().map_or("", Ref::as_str);
        let left = read.leaves.map(|leaving| (leaving.format.clone(), leaving.head.position));
        let left_as = left.as_ref().map(|(format, head)| format!("{format} {head}")).unwrap_or_default();
        let parts = [metadata.actor.as_str(), principal, read.what, &left_as, &begin.to_string()];
        let name: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        if left.is_none() && self.shared.reads.contains_key(&id) {
            return Ok(());
        }
        let queue = self.queue().ok_or(Closed)?;
        // First room, then the mark: whoever stops waiting leaves no mark behind.
        let room = queue.reserve().await.map_err(|_| Closed)?;
        let waits = left.is_some();
        if self.shared.reads.entry(id).or_insert(()).is_fresh() || waits {
            let trail = TrailId::of(Timestamp::from_second(begin).unwrap_or_default());
            let (what, of, asked) = (shortened(read.what), read.of.to_vec(), bounded(&read.asked));
            let command = RecordRead { trail, what, of, asked, left };
            let (done, recorded) = oneshot::channel();
            let (make, done) = (Box::new(move || Box::new(command.clone()) as _), waits.then_some(done));
            room.send(Record { make, context: context.own(id), done });
            if waits {
                return recorded.await.map_err(|_| Closed);
            }
        }
        Ok(())
    }

    /// Records a refusal, or counts it if there is no room. It waits for nothing.
    pub(in crate::app) fn refused(&self, context: &Context, what: &str, on: &[Ref], reason: &str, denied: bool) {
        let trail = TrailId::of((self.clock)());
        let command =
            RecordRefusal { trail, what: shortened(what), on: on.to_vec(), reason: shortened(reason), denied };
        // The same command, refused again under its id for the same reason, is the same refusal.
        let id = match context.id() {
            Some(id) => Uuid::new_v5(&id, format!("{denied} {reason}").as_bytes()),
            None => Uuid::now_v7(),
        };
        let make = Box::new(move || Box::new(command.clone()) as _);
        let record = Record { make, context: context.own(id), done: None };
        if self.queue().is_none_or(|queue| queue.try_send(record).is_err()) {
            self.shared.overflow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Appends what is queued; nothing is taken in any more.
    pub(in crate::app) async fn close(&self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the recorder of reads and refusals ended before its time");
        }
    }

    fn queue(&self) -> Option<mpsc::Sender<Record>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Task {
    /// Weak: the engine's gate holds the queue, which ends when the engine does.
    engine: Weak<Engine>,
    shared: Arc<Shared>,
    clock: Clock,
}

impl Task {
    async fn run(self, mut queue: mpsc::Receiver<Record>) {
        let mut records = Vec::new();
        loop {
            let many = queue.recv_many(&mut records, WAITING).await;
            let mut together = Vec::new();
            for record in records.drain(..) {
                // Before an export there is all that was read before it.
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
            let refusals = self.shared.overflow.swap(0, Ordering::Relaxed);
            if refusals > 0 {
                let command = RecordOverflow { trail: TrailId::of((self.clock)()), refusals };
                let recorder = Context::by(Ref::unchecked("annals", "recorder")).own(Uuid::now_v7());
                let make = Box::new(move || Box::new(command.clone()) as _);
                self.append(Record { make, context: recorder, done: None }).await;
            }
            if many == 0 {
                return;
            }
        }
    }

    /// Until it is appended, or cannot be.
    async fn append(&self, record: Record) {
        let mut tries = 0;
        loop {
            let Some(engine) = self.engine.upgrade() else { return };
            let error = match engine.execute((record.make)(), &record.context).await {
                // Another process recorded the same read.
                Ok(_) | Err(ExecuteError::CommandIdReused(_)) => {
                    // Who does not wait any more need not be told.
                    let _ = record.done.map(|done| done.send(()));
                    return;
                }
                Err(error) => error,
            };
            drop(engine);
            tries += 1;
            let closing = self.shared.closing.load(Ordering::Relaxed);
            if !may_pass(&error) || closing && tries >= LAST_TRIES {
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

/// Whether it may be otherwise the next time.
fn may_pass(error: &ExecuteError<Refusal>) -> bool {
    matches!(
        error,
        ExecuteError::Conflict { .. }
            | ExecuteError::OutcomeUnknown { .. }
            | ExecuteError::Store(_)
            | ExecuteError::Load(_)
    )
}

/// At most so many characters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The filters without those that would make a long record: what is asked for is then at most more than it was.
fn bounded(asked: &AskedFor) -> AskedFor {
    let short = |(_, values): &(&String, &Vec<String>)| values.iter().all(|value| value.len() <= LONGEST);
    asked.iter().filter(short).map(|(filter, values)| (filter.clone(), values.clone())).collect()
}
