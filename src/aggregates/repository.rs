//! Where states come from: the cache, else a snapshot and the events after it, else all events.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{AnyAggregate, Cache, Entry, Kind, State};
use crate::events::{DecodeError, InvalidRef, Ref};
use crate::store::{Snapshot, Store, StoreError, Vitals, count};

/// How many states are kept in memory.
const CACHED: u64 = 100_000;
/// Events are read in pages of this size; an aggregate with fewer needs no snapshot.
const PAGE: usize = 256;
/// A snapshot is kept whenever an aggregate has passed a multiple of so many events.
const SNAPSHOT_EVERY: u64 = 256;

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Id(#[from] InvalidRef),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`apply` of {0} panicked on its stored events")]
    Panicked(Ref),
}

pub(crate) struct Repository {
    store: Arc<dyn Store>,
    vitals: Arc<Vitals>,
    pub(crate) cache: Arc<Cache>,
    /// One snapshot is written at a time: they are a cache, and may be left out.
    snapshots: Arc<Semaphore>,
}

impl Repository {
    pub(crate) fn new(store: Arc<dyn Store>, vitals: Arc<Vitals>) -> Self {
        Self { store, vitals, cache: Arc::new(Cache::new(CACHED)), snapshots: Arc::new(Semaphore::new(1)) }
    }

    /// The state to decide on: a cached one may still be on its way to the log.
    pub(crate) async fn load(&self, kind: Kind, aggregate: &Ref) -> Result<Entry, LoadError> {
        if let Some(entry) = self.cache.get(aggregate) {
            count(&self.vitals.hits);
            return Ok(entry);
        }
        count(&self.vitals.misses);
        let state = self.stored(kind, aggregate).await?;
        Ok(self.cache.put_read(aggregate, state))
    }

    /// The state as the log has it.
    pub(crate) async fn stored(&self, kind: Kind, aggregate: &Ref) -> Result<State, LoadError> {
        let kind = kind.0;
        let mut state = kind.fresh(aggregate)?;
        let mut events = self.store.load(aggregate, 0, PAGE).await?;
        if events.len() == PAGE
            && let Some(snapshot) = self.store.snapshot(aggregate).await?
            && snapshot.shape == kind.shape()
            && let Some(restored) = kind.restore(aggregate, snapshot.sequence, &snapshot.state)
        {
            state = restored;
            events = self.store.load(aggregate, snapshot.sequence, PAGE).await?;
        }
        loop {
            fold(kind, aggregate, &mut state, &events)?;
            if events.len() < PAGE {
                return Ok(state);
            }
            events = self.store.load(aggregate, kind.sequence(&state), PAGE).await?;
        }
    }

    /// Keeps a snapshot of a state that is in the log, if it is time for one.
    pub(crate) fn keep(&self, kind: Kind, aggregate: &Ref, before: u64, state: &State) {
        let sequence = kind.0.sequence(state);
        if before / SNAPSHOT_EVERY == sequence / SNAPSHOT_EVERY {
            return;
        }
        let Ok(permit) = self.snapshots.clone().try_acquire_owned() else { return };
        let (store, aggregate, state) = (self.store.clone(), aggregate.clone(), state.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let snapshot = match kind.0.snapshot(&state) {
                Ok(state) => Snapshot { sequence, shape: kind.0.shape(), state },
                Err(error) => return tracing::warn!(%aggregate, %error, "no snapshot: the state cannot be written"),
            };
            if let Err(error) = store.keep_snapshot(&aggregate, snapshot).await {
                tracing::warn!(%aggregate, %error, "no snapshot");
            }
        });
    }
}

/// Folds stored events; a panic in `apply` is an error, and the state stays as it was.
pub(crate) fn fold(
    kind: &dyn AnyAggregate,
    aggregate: &Ref,
    state: &mut State,
    events: &[crate::events::Stored],
) -> Result<(), LoadError> {
    let mut after = state.clone();
    let folded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kind.fold(&mut after, events)));
    folded.map_err(|_| LoadError::Panicked(aggregate.clone()))??;
    *state = after;
    Ok(())
}
