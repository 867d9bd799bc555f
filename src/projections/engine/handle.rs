//! State that the engine's tasks share: [`EngineContext`] for all projections, [`ProjectionHandle`] for each.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};

use super::progress::Progress;
use super::status::{StopInfo, UnknownEvent};
use crate::events::{LogPosition, Stored, Types};
use crate::projections::Projection;
use crate::store::{GenerationId, Interest, NoteKind, Store, StoreError, Views};

/// A projection whose runner panics this often in a row counts as stopped.
const MOST_PANICS: u32 = 5;

/// State that all projections share: the store, the event types and signals.
pub(in crate::projections) struct EngineContext {
    pub store: Arc<dyn Store>,
    pub views: Arc<dyn Views>,
    pub types: Arc<Types>,
    /// Becomes true when the application closes.
    pub closing: watch::Receiver<bool>,
    /// Notified when a projection reaches an event type that this program does not know.
    pub yielded: Notify,
    /// Notified when a caller waits for a projection to process new events.
    pub awaited: Notify,
    /// Limits how many projections process live pages at once: half of the cores.
    pub turns: Semaphore,
    /// How often a task that serves all projections was started again after a panic.
    pub restarts: AtomicU64,
}

impl EngineContext {
    /// Whether the log holds this event at this position.
    pub async fn holds(&self, head: LogPosition) -> Result<bool, StoreError> {
        Ok(self.missing(&[head]).await?.is_none())
    }

    /// The first of these events that the log does not hold at its position. It reads the log once for all of them.
    pub async fn missing(&self, heads: &[LogPosition]) -> Result<Option<LogPosition>, StoreError> {
        let mut positions: Vec<u64> = heads.iter().map(|head| head.position).filter(|at| *at > 0).collect();
        positions.sort_unstable();
        positions.dedup();
        let found = if positions.is_empty() { Vec::new() } else { self.store.read_at(&positions).await? };
        let held = |head: &LogPosition| match head.position {
            0 => head.event_id.is_nil(),
            _ => found.iter().any(|stored| stored.head() == *head),
        };
        Ok(heads.iter().find(|head| !held(head)).copied())
    }

    /// Returns when the application closes.
    pub async fn closed(&self) {
        let mut closing = self.closing.clone();
        // An error means that the application was dropped.
        let _ = closing.wait_for(|closing| *closing).await;
    }
}

/// What a projection is doing, as far as this process knows.
#[derive(Clone, Debug)]
pub(in crate::projections) enum RunState {
    CatchingUp,
    Live,
    Stopped(StopInfo),
    /// Blocked at an event type that this program does not know, and no process that knows it runs the projection.
    Waiting(UnknownEvent),
    /// Another process runs it, or none does.
    Away,
}

/// One projection in this process.
pub(in crate::projections) struct ProjectionHandle {
    pub projection: Arc<dyn Projection>,
    pub interest: Interest,
    wanted: Option<HashSet<String>>,
    generation_id: Mutex<GenerationId>,
    progress: watch::Sender<LogPosition>,
    run_state: watch::Sender<RunState>,
    /// Whether this process runs the projection.
    leading: watch::Sender<bool>,
    /// The event of an unknown type at which this process gave up the lease.
    yielded: Mutex<Option<UnknownEvent>>,
    /// The highest position that a caller has waited for.
    awaited: AtomicU64,
    /// Requests a checkpoint.
    pub nudge: Notify,
    /// Makes a stopped projection try again.
    pub resume: Notify,
    /// Held while a batch is written to the live generation, and by a rebuild for its last steps.
    pub write_lock: tokio::sync::Mutex<()>,
    /// Progress of the rebuild that this process runs, if any.
    pub rebuild: watch::Sender<Option<Progress>>,
    /// How often the projection's runner was started again after a panic.
    restarts: AtomicU64,
}

impl ProjectionHandle {
    pub fn new(projection: Arc<dyn Projection>, generation_id: GenerationId, head: LogPosition) -> Self {
        let interest = projection.interest();
        let wanted = match &interest {
            Interest::All => None,
            Interest::EventTypes(types) => Some(types.iter().cloned().collect()),
        };
        Self {
            projection,
            interest,
            wanted,
            generation_id: Mutex::new(generation_id),
            progress: watch::Sender::new(head),
            run_state: watch::Sender::new(RunState::Away),
            leading: watch::Sender::new(false),
            yielded: Mutex::new(None),
            awaited: AtomicU64::new(0),
            nudge: Notify::new(),
            resume: Notify::new(),
            write_lock: tokio::sync::Mutex::new(()),
            rebuild: watch::Sender::new(None),
            restarts: AtomicU64::new(0),
        }
    }

    pub fn name(&self) -> &str {
        self.projection.name()
    }

    /// As [`Interest::wants`], by a set instead of a search through all names.
    pub fn wants(&self, stored: &Stored) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&stored.event_type))
    }

    pub fn wants_all(&self) -> bool {
        self.wanted.is_none()
    }

    fn lock_generation_id(&self) -> MutexGuard<'_, GenerationId> {
        self.generation_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live generation, as far as this process knows.
    pub fn generation_id(&self) -> GenerationId {
        self.lock_generation_id().clone()
    }

    pub fn head(&self) -> LogPosition {
        *self.progress.borrow()
    }

    pub fn progress(&self) -> watch::Receiver<LogPosition> {
        self.progress.subscribe()
    }

    pub fn is_watched(&self) -> bool {
        self.progress.receiver_count() > 0
    }

    /// Records that the generation is at `head`, unless a later position or generation is known.
    pub fn publish(&self, generation_id: &GenerationId, head: LogPosition) {
        let mut known = self.lock_generation_id();
        let newer = generation_id.generation > known.generation;
        if generation_id.generation < known.generation {
            return;
        }
        *known = generation_id.clone();
        self.progress.send_if_modified(|current| {
            let moves = newer && *current != head || head.position > current.position;
            if moves {
                *current = head;
            }
            moves
        });
    }

    /// Records what was read from the database, whatever was known before.
    pub fn publish_reloaded(&self, generation_id: &GenerationId, head: LogPosition) {
        *self.lock_generation_id() = generation_id.clone();
        self.progress.send_if_modified(|current| std::mem::replace(current, head) != head);
    }

    pub fn run_state(&self) -> watch::Receiver<RunState> {
        self.run_state.subscribe()
    }

    pub fn set_run_state(&self, run_state: RunState) {
        if !matches!(run_state, RunState::Waiting(_)) {
            let head = self.head().position;
            let mut yielded = self.yielded.lock().unwrap_or_else(PoisonError::into_inner);
            if yielded.as_ref().is_some_and(|unknown| head >= unknown.position) {
                *yielded = None;
            }
        }
        self.run_state.send_replace(run_state);
    }

    /// Name and version, the key of a lease.
    pub fn key(&self) -> (String, u64) {
        (self.name().to_owned(), self.projection.version())
    }

    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Records whether this process runs the projection.
    pub fn lead(&self, leads: bool) {
        let changed = self.leading.send_if_modified(|now| std::mem::replace(now, leads) != leads);
        if changed && leads && matches!(&*self.run_state.borrow(), RunState::Away) {
            // The state of earlier runs is obsolete.
            self.set_run_state(RunState::CatchingUp);
        }
    }

    /// Gives the projection up to programs that know the event.
    pub fn yield_before(&self, unknown: UnknownEvent) {
        *self.yielded.lock().unwrap_or_else(PoisonError::into_inner) = Some(unknown.clone());
        self.set_run_state(RunState::Waiting(unknown));
        self.lead(false);
    }

    /// The position of the unknown event at which this process gave the projection up.
    pub fn yielded(&self) -> Option<u64> {
        self.yielded.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|unknown| unknown.position)
    }

    /// Updates the state after this process gave the projection up: `led` says whether another process runs it.
    pub fn wait_elsewhere(&self, led: bool) {
        let unknown = self.yielded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match unknown {
            Some(unknown) if !led => self.set_run_state(RunState::Waiting(unknown)),
            _ => self.set_run_state(RunState::Away),
        }
    }

    /// Records that the runner panicked, `panics` times in a row. The projection counts as stopped after as many panics
    /// as failures of a step; its runner is started again all the same.
    pub fn runner_panicked(&self, panics: u32, message: &str) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        if panics >= MOST_PANICS && *self.leading.borrow() {
            self.set_run_state(RunState::Stopped(StopInfo {
                reason: format!(
                    "its task panicked {panics} times in a row, the last time with `{message}` (for example in the \
                     application's tracing subscriber). It is started again every few seconds"
                ),
                position: None,
                attempts: panics,
                since: Timestamp::now(),
                diverged: false,
                at: self.head(),
                generation: self.generation_id().generation,
            }));
        }
    }

    /// How often the projection's runner was started again after a panic.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Makes the projection try again if it has stopped.
    pub fn try_again(&self) {
        if matches!(&*self.run_state.borrow(), RunState::Stopped(_)) {
            self.resume.notify_one();
        }
    }

    /// Requests a checkpoint at or after `position` as soon as possible.
    pub fn request_checkpoint(&self, position: u64) {
        self.awaited.fetch_max(position, Ordering::Relaxed);
        self.nudge.notify_one();
    }

    /// Whether a caller waits for a checkpoint after `position`.
    pub fn is_requested_beyond(&self, position: u64) -> bool {
        self.awaited.load(Ordering::Relaxed) > position
    }

    /// Reads the checkpoint from the database, where another process may have moved it.
    pub async fn refresh(&self, views: &dyn Views) -> Result<(), StoreError> {
        let generation_id = self.generation_id();
        match views.checkpoint(&generation_id).await? {
            Some(head) => self.publish(&generation_id, head),
            None => {
                let (generation_id, head) = views.live(self.name(), self.projection.version()).await?;
                self.publish(&generation_id, head);
            }
        }
        Ok(())
    }

    /// Compares the checkpoint that this process knows with the log, and if the log does not hold it, the one in
    /// the database. Returns the checkpoint if the log holds neither: the projection was made from another log.
    pub async fn diverged(&self, context: &EngineContext) -> Result<Option<LogPosition>, StoreError> {
        if context.holds(self.head()).await? {
            return Ok(None);
        }
        let (generation_id, head) = context.views.live(self.name(), self.projection.version()).await?;
        self.publish_reloaded(&generation_id, head);
        Ok((!context.holds(head).await?).then_some(head))
    }

    /// Why the projection stopped, as noted by any process; `None` if the note is about an earlier position or
    /// generation.
    pub async fn noted(&self, views: &dyn Views) -> Result<Option<StopInfo>, StoreError> {
        let note = views.note(self.name(), self.projection.version(), NoteKind::Stop).await?;
        let stop: Option<StopInfo> = note.and_then(|note| serde_json::from_str(&note).ok());
        let (generation, head) = (self.generation_id().generation, self.head());
        Ok(stop.filter(|stop| stop.generation == generation && stop.at == head))
    }
}
