//! What the tasks of an open application share: the store, and how far each projection is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::status::Stop;
use super::{Progress, Projection};
use crate::events::{Head, Stored, Types};
use crate::store::{About, Instance, Interest, Store, StoreError, Views};

/// The store and the event types.
pub(super) struct Core {
    pub store: Arc<dyn Store>,
    pub views: Arc<dyn Views>,
    pub types: Arc<Types>,
    /// Becomes true when the application closes.
    pub closing: watch::Receiver<bool>,
}

impl Core {
    /// Whether the log holds this event at this position.
    pub async fn holds(&self, head: Head) -> Result<bool, StoreError> {
        if head.position == 0 {
            return Ok(head.event_id.is_nil());
        }
        let found = self.store.at(&[head.position]).await?;
        Ok(found.first().is_some_and(|stored| stored.event_id == head.event_id))
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
pub(super) enum Standing {
    CatchingUp,
    Live,
    Stopped(Stop),
}

/// One projection in this process.
pub(super) struct Tracked {
    pub projection: Arc<dyn Projection>,
    pub interest: Interest,
    wanted: Option<HashSet<String>>,
    instance: Mutex<Instance>,
    progress: watch::Sender<Head>,
    standing: watch::Sender<Standing>,
    /// The furthest position that anybody has waited for.
    awaited: AtomicU64,
    /// Somebody waits for a checkpoint.
    pub nudge: Notify,
    /// A stopped projection is to try again.
    pub resume: Notify,
    /// Held while a batch is written to the live generation; a rebuild holds it for its last steps.
    pub gate: tokio::sync::Mutex<()>,
    /// How far a rebuild is, while there is one.
    pub rebuild: watch::Sender<Option<Progress>>,
}

impl Tracked {
    pub fn new(projection: Arc<dyn Projection>, instance: Instance, head: Head) -> Self {
        let interest = projection.interest();
        let wanted = match &interest {
            Interest::All => None,
            Interest::EventTypes(types) => Some(types.iter().cloned().collect()),
        };
        Self {
            projection,
            interest,
            wanted,
            instance: Mutex::new(instance),
            progress: watch::Sender::new(head),
            standing: watch::Sender::new(Standing::CatchingUp),
            awaited: AtomicU64::new(0),
            nudge: Notify::new(),
            resume: Notify::new(),
            gate: tokio::sync::Mutex::new(()),
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

    fn lock_instance(&self) -> MutexGuard<'_, Instance> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that is read, as far as this process knows.
    pub fn instance(&self) -> Instance {
        self.lock_instance().clone()
    }

    pub fn head(&self) -> Head {
        *self.progress.borrow()
    }

    pub fn progress(&self) -> watch::Receiver<Head> {
        self.progress.subscribe()
    }

    pub fn is_watched(&self) -> bool {
        self.progress.receiver_count() > 0
    }

    /// Makes it known that `instance` is at `head`, unless something newer is known.
    pub fn publish(&self, instance: &Instance, head: Head) {
        let mut known = self.lock_instance();
        let newer = instance.generation > known.generation;
        if instance.generation < known.generation {
            return;
        }
        *known = instance.clone();
        self.progress.send_if_modified(|current| {
            let moves = newer && *current != head || head.position > current.position;
            if moves {
                *current = head;
            }
            moves
        });
    }

    /// Makes known what was just read from the database, whatever was known before.
    pub fn publish_anew(&self, instance: &Instance, head: Head) {
        *self.lock_instance() = instance.clone();
        self.progress.send_if_modified(|current| std::mem::replace(current, head) != head);
    }

    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    pub fn stand(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    /// Lets it try again, if it has stopped.
    pub fn try_again(&self) {
        if matches!(&*self.standing.borrow(), Standing::Stopped(_)) {
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
        let instance = self.instance();
        match views.checkpoint(&instance).await? {
            Some(head) => self.publish(&instance, head),
            None => {
                let (instance, head) = views.live(self.name(), self.projection.version()).await?;
                self.publish(&instance, head);
            }
        }
        Ok(())
    }

    /// Why it stands, as any process noted it; `None` if that is history.
    pub async fn noted(&self, views: &dyn Views) -> Result<Option<Stop>, StoreError> {
        let note = views.noted(self.name(), self.projection.version(), About::Stop).await?;
        let stop: Option<Stop> = note.and_then(|note| serde_json::from_str(&note).ok());
        let (generation, head) = (self.instance().generation, self.head());
        Ok(stop.filter(|stop| stop.generation == generation && stop.at == head))
    }
}
