//! Where states come from: the cache, else a snapshot and the events after it, else all events.

use std::sync::Arc;

use super::folding::Folding;
use super::keeper::Keeper;
use super::{AnyAggregate, Cache, Entry, Kind, State};
use crate::events::{DecodeError, InvalidRef, Ref};
use crate::store::{Store, StoreError, WriteMetrics, increment};

/// How many states are kept in memory.
const CACHED: u64 = 100_000;
/// Events are read in pages of this size; an aggregate with fewer needs no snapshot.
pub(super) const PAGE: usize = 256;
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
    write_metrics: Arc<WriteMetrics>,
    pub(crate) cache: Arc<Cache>,
    keeper: Keeper,
}

impl Repository {
    pub(crate) fn new(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>) -> Self {
        let keeper = Keeper::new(store.clone());
        Self { store, write_metrics, cache: Arc::new(Cache::new(CACHED)), keeper }
    }

    /// The state to decide on: a cached one may still be on its way to the log.
    pub(crate) async fn load(&self, kind: Kind, aggregate: &Ref) -> Result<Entry, LoadError> {
        if let Some(entry) = self.cache.get(aggregate) {
            increment(&self.write_metrics.hits);
            return Ok(entry);
        }
        increment(&self.write_metrics.misses);
        let state = self.stored(kind, aggregate).await?;
        Ok(self.cache.put_read(aggregate, state))
    }

    /// The state as the log has it.
    pub(crate) async fn stored(&self, kind: Kind, aggregate: &Ref) -> Result<State, LoadError> {
        let events = self.store.load(aggregate, 0, PAGE).await?;
        let mut full = events.len() == PAGE;
        let on_snapshot = if full { Folding::on_snapshot(&*self.store, kind, aggregate).await? } else { None };
        let mut folding = match on_snapshot {
            Some((folding, page)) => {
                full = page.full;
                folding
            }
            None => {
                let mut folding = Folding::fresh(kind, aggregate)?;
                folding.take(&events)?;
                folding
            }
        };
        while full {
            let events = self.store.load(aggregate, folding.sequence(), PAGE).await?;
            folding.take(&events)?;
            full = events.len() == PAGE;
        }
        if folding.folded > SNAPSHOT_EVERY {
            self.keeper.ask(kind, aggregate, folding.sequence());
        }
        Ok(folding.into_state())
    }

    /// Asks for a snapshot of an aggregate that went from one sequence to another, if it is time for one.
    pub(crate) fn keep(&self, kind: Kind, aggregate: &Ref, before: u64, after: u64) {
        if before / SNAPSHOT_EVERY != after / SNAPSHOT_EVERY {
            self.keeper.ask(kind, aggregate, after);
        }
    }

    /// Ends what runs in the background.
    pub(crate) async fn close(&self) {
        self.keeper.close().await;
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
