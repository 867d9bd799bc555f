//! What the tasks of an open application share: the store, and how far each projection is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, watch};

use super::progress::Progress;
use super::status::{StopInfo, UnknownEvent};
use crate::events::{LogPosition, Stored, Types};
use crate::projections::Projection;
use crate::store::{GenerationId, Interest, NoteKind, Store, StoreError, Views};

/// The store and the event types.
pub(in crate::projections) struct EngineContext {
    pub store: Arc<dyn Store>,
    pub views: Arc<dyn Views>,
    pub types: Arc<Types>,
    /// Becomes true when the application closes.
    pub closing: watch::Receiver<bool>,
    /// A projection came to an event that this program does not know.
    pub yielded: Notify,
    /// Somebody waits for a projection to take in what is new.
    pub awaited: Notify,
    /// Who follows live takes turns: as many at once as half of the cores.
    pub turns: Semaphore,
}

impl EngineContext {
    /// Whether the log holds this event at this position.
    pub async fn holds(&self, head: LogPosition) -> Result<bool, StoreError> {
        Ok(self.missing(&[head]).await?.is_none())
    }

    /// The first of these events that the log does not hold at its position. One read of the log, however many there are.
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

/// What this process knows of how a projection goes on.
#[derive(Clone, Debug)]
pub(in crate::projections) enum RunState {
    CatchingUp,
    Live,
    Stopped(StopInfo),
    /// It came to an event that this program does not know, and nobody who does is there.
    Waiting(UnknownEvent),
    /// Another process runs it, or none.
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
    /// Whether this process is the one that runs it.
    leading: watch::Sender<bool>,
    /// The event before which this program had to leave it to others.
    yielded: Mutex<Option<UnknownEvent>>,
    /// The furthest position that anybody has waited for.
    awaited: AtomicU64,
    /// Somebody waits for a checkpoint.
    pub nudge: Notify,
    /// A stopped projection is to try again.
    pub resume: Notify,
    /// Held while a batch is written to the live generation; a rebuild holds it for its last steps.
    pub write_lock: tokio::sync::Mutex<()>,
    /// How far a rebuild is, while there is one.
    pub rebuild: watch::Sender<Option<Progress>>,
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
        }
    }

    pub fn name(&self) -> &str {
        self.projection.name()
    }

    /// As [`Interest::wants`], without looking through all the names.
    pub fn wants(&self, stored: &Stored) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&stored.event_type))
    }

    pub fn wants_all(&self) -> bool {
        self.wanted.is_none()
    }

    fn lock_instance(&self) -> MutexGuard<'_, GenerationId> {
        self.generation_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that is read, as far as this process knows.
    pub fn generation_id(&self) -> GenerationId {
        self.lock_instance().clone()
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

    /// Makes it known that `instance` is at `head`, unless something newer is known.
    pub fn publish(&self, generation_id: &GenerationId, head: LogPosition) {
        let mut known = self.lock_instance();
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

    /// Makes known what was just read from the database, whatever was known before.
    pub fn publish_anew(&self, generation_id: &GenerationId, head: LogPosition) {
        *self.lock_instance() = generation_id.clone();
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

    /// Name and version: what leases are for.
    pub fn key(&self) -> (String, u64) {
        (self.name().to_owned(), self.projection.version())
    }

    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Says whether this process runs it.
    pub fn lead(&self, leads: bool) {
        let changed = self.leading.send_if_modified(|now| std::mem::replace(now, leads) != leads);
        if changed && leads && matches!(&*self.run_state.borrow(), RunState::Away) {
            // What was noted of earlier runs counts no more.
            self.set_run_state(RunState::CatchingUp);
        }
    }

    /// Leaves it to programs that know the event.
    pub fn yield_before(&self, unknown: UnknownEvent) {
        *self.yielded.lock().unwrap_or_else(PoisonError::into_inner) = Some(unknown.clone());
        self.set_run_state(RunState::Waiting(unknown));
        self.lead(false);
    }

    /// The position of the event that this program does not know, if it had to leave it to others.
    pub fn yielded(&self) -> Option<u64> {
        self.yielded.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|unknown| unknown.position)
    }

    /// Somebody who knows the event leads it, or nobody does.
    pub fn wait_elsewhere(&self, led: bool) {
        let unknown = self.yielded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match unknown {
            Some(unknown) if !led => self.set_run_state(RunState::Waiting(unknown)),
            _ => self.set_run_state(RunState::Away),
        }
    }

    /// Lets it try again, if it has stopped.
    pub fn try_again(&self) {
        if matches!(&*self.run_state.borrow(), RunState::Stopped(_)) {
            self.resume.notify_one();
        }
    }

    /// Asks for a checkpoint at or after `position` as soon as there can be one.
    pub fn ask_for(&self, position: u64) {
        self.awaited.fetch_max(position, Ordering::Relaxed);
        self.nudge.notify_one();
    }

    /// Whether somebody waits for a checkpoint after `position`.
    pub fn is_asked_beyond(&self, position: u64) -> bool {
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

    /// Compares the checkpoint that this process knows with the log, and if the log does not hold it, the one in the
    /// database. Returns the checkpoint if the log holds neither: the projection was made from another log.
    pub async fn diverged(&self, context: &EngineContext) -> Result<Option<LogPosition>, StoreError> {
        if context.holds(self.head()).await? {
            return Ok(None);
        }
        let (generation_id, head) = context.views.live(self.name(), self.projection.version()).await?;
        self.publish_anew(&generation_id, head);
        Ok((!context.holds(head).await?).then_some(head))
    }

    /// Why it stands, as any process noted it; `None` if that is history.
    pub async fn noted(&self, views: &dyn Views) -> Result<Option<StopInfo>, StoreError> {
        let note = views.note(self.name(), self.projection.version(), NoteKind::Stop).await?;
        let stop: Option<StopInfo> = note.and_then(|note| serde_json::from_str(&note).ok());
        let (generation, head) = (self.generation_id().generation, self.head());
        Ok(stop.filter(|stop| stop.generation == generation && stop.at == head))
    }
}
