//! [`CommandIdLookup`]: finds out whether a command id from a caller was used before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::store::{KnownCommand, Store, StoreError};

/// The most ids in one query.
const BATCH: usize = 512;

type Found = Result<Option<KnownCommand>, Arc<StoreError>>;

/// Looks up command ids in the store, with one query at a time: all ids that arrive during a query share the next one.
pub(super) struct CommandIdLookup(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    ids: Vec<(Uuid, oneshot::Sender<Found>)>,
    /// Whether a task is running that looks up the ids.
    running: bool,
}

/// Finds commands in the log. What is found is safe: the answer of a repeated command is an acknowledgement too.
pub(super) async fn find_confirmed(
    store: &dyn Store,
    ids: &[Uuid],
) -> Result<Vec<Option<KnownCommand>>, Arc<StoreError>> {
    let found = store.find_commands(ids).await.map_err(Arc::new)?;
    if found.iter().any(Option::is_some) {
        store.confirm().await.map_err(Arc::new)?;
    }
    Ok(found)
}

impl CommandIdLookup {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared { store, waiting: Mutex::default() }))
    }

    /// Returns the command that the log has under this id.
    pub(super) async fn find(&self, id: Uuid) -> Found {
        let (reply, found) = oneshot::channel();
        let start = {
            let mut waiting = self.0.lock();
            waiting.ids.push((id, reply));
            !std::mem::replace(&mut waiting.running, true)
        };
        if start {
            tokio::spawn(LookupTask { shared: self.0.clone(), finished: false }.run());
        }
        found.await.unwrap_or_else(|_| Err(Arc::new(StoreError::Closed)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that looks up ids. If it ends by a panic or with its runtime, dropping it answers the waiting callers.
struct LookupTask {
    shared: Arc<Shared>,
    finished: bool,
}

impl LookupTask {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            let ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
            let found = find_confirmed(&*self.shared.store, &ids).await;
            for (index, (_, reply)) in batch.into_iter().enumerate() {
                let found = found.as_ref().map(|known| known.get(index).cloned().flatten()).map_err(Arc::clone);
                // The caller may have been dropped.
                let _ = reply.send(found);
            }
        }
    }

    /// Returns the next ids. `None` ends the task; the next caller starts another one.
    fn next(&mut self) -> Option<Vec<(Uuid, oneshot::Sender<Found>)>> {
        let mut waiting = self.shared.lock();
        self.finished = waiting.ids.is_empty();
        if self.finished {
            waiting.running = false;
            return None;
        }
        let count = waiting.ids.len().min(BATCH);
        Some(waiting.ids.drain(..count).collect())
    }
}

impl Drop for LookupTask {
    fn drop(&mut self) {
        if !self.finished {
            let mut waiting = self.shared.lock();
            waiting.running = false;
            waiting.ids.clear();
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::store::{OpenOptions, open};

    async fn lookup() -> CommandIdLookup {
        let clock = Arc::new(jiff::Timestamp::now);
        let options = OpenOptions { app: "x".to_owned(), clock, create: true };
        CommandIdLookup::new(open("sqlite::memory:", options).await.unwrap())
    }

    fn task(lookup: &CommandIdLookup, finished: bool) -> LookupTask {
        LookupTask { shared: lookup.0.clone(), finished }
    }

    /// The store panics, or the runtime of the first caller ends: nobody waits forever, then or later.
    #[tokio::test]
    async fn a_look_up_that_ends_early_answers_its_callers_and_the_next_one_works() {
        let lookup = lookup().await;
        lookup.0.lock().running = true;
        let mut waiting = std::pin::pin!(lookup.find(Uuid::now_v7()));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits for the running look-up");
        drop(task(&lookup, false));
        assert!(matches!(&*waiting.await.unwrap_err(), StoreError::Closed));
        assert!(lookup.find(Uuid::now_v7()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_look_up_that_has_ended_leaves_the_callers_of_the_next_one_alone() {
        let lookup = lookup().await;
        lookup.0.lock().running = true;
        let mut waiting = std::pin::pin!(lookup.find(Uuid::now_v7()));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits for the running look-up");
        drop(task(&lookup, true));
        task(&lookup, false).run().await;
        assert!(waiting.await.unwrap().is_none());
    }
}
