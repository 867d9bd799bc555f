//! [`KnownIds`]: whether a command id that a caller gave was used before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::{KnownCommand, Store, StoreError};

/// So many ids are looked up at once.
const MOST: usize = 512;

type Found = Result<Option<KnownCommand>, Arc<StoreError>>;

/// Looks up command ids in the store: the ids of all callers that ask while a look-up is under way share the next one, so
/// that many callers cost one query at a time.
pub(super) struct KnownIds(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Uuid, oneshot::Sender<Found>)>,
    /// Whether a task looks up what waits.
    running: bool,
}

impl KnownIds {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared { store, state: Mutex::default() }))
    }

    /// What the log knows of this id.
    pub(super) async fn find(&self, id: Uuid) -> Found {
        let (reply, found) = oneshot::channel();
        let start = {
            let mut state = self.0.lock();
            state.waiting.push((id, reply));
            !std::mem::replace(&mut state.running, true)
        };
        if start {
            tokio::spawn(Running { shared: self.0.clone(), finished: false }.run());
        }
        found.await.unwrap_or_else(|_| Err(Arc::new(StoreError::Closed)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks up. If it ends by a panic or with its runtime, its drop answers those who wait.
struct Running {
    shared: Arc<Shared>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
            let found = self.shared.store.find_commands(&ids).await.map_err(Arc::new);
            for (index, (_, reply)) in batch.into_iter().enumerate() {
                let found = found.as_ref().map(|known| known.get(index).cloned().flatten()).map_err(Arc::clone);
                // The caller may have gone.
                let _ = reply.send(found);
            }
        }
    }

    /// The next ids; `None` ends the task: the next caller starts another one.
    fn next(&mut self) -> Option<Vec<(Uuid, oneshot::Sender<Found>)>> {
        let mut state = self.shared.lock();
        self.finished = state.waiting.is_empty();
        if self.finished {
            state.running = false;
            return None;
        }
        let count = state.waiting.len().min(MOST);
        Some(state.waiting.drain(..count).collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            let mut state = self.shared.lock();
            state.running = false;
            state.waiting.clear();
        }
    }
}
