//! [`SnapshotWriter`]: writes snapshots in the background, from committed events only.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::state_fold::{SnapshotError, StateFold};
use super::{AggregateType, LoadError, PAGE};
use crate::events::Ref;
use crate::store::kept_snapshots::{self, KEPT_EVERY};
use crate::store::{Store, StoreError};

/// The most aggregates that wait for a snapshot. Further ones get none until they are due again.
const WAITING: usize = 256;
/// How long closing waits for due snapshots.
const CLOSING: Duration = Duration::from_secs(2);

/// Writes one snapshot at a time. A state in memory may not be committed, so it is never used: the task reads the previous
/// snapshot and the events after it, folds them and saves the result.
pub(super) struct SnapshotWriter {
    store: Arc<dyn Store>,
    work: Arc<Mutex<Work>>,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Due>,
    task: Option<JoinHandle<()>>,
    /// The aggregate types whose states do not restore: they get no snapshots.
    unfit: HashSet<&'static str>,
}

struct Due {
    kind: AggregateType,
    aggregate: Ref,
    /// The sequence to reach, if the log has it.
    sequence: u64,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotFailure {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    SnapshotError(#[from] SnapshotError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SnapshotWriter {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, work: Arc::default() }
    }

    /// Requests a snapshot of an aggregate that should have `sequence` events.
    pub(super) fn request(&self, kind: AggregateType, aggregate: &Ref, sequence: u64) {
        let mut work = lock(&self.work);
        if work.unfit.contains(kind.name()) {
            return;
        }
        let room = work.waiting.len() < WAITING;
        match work.waiting.iter_mut().find(|due| due.aggregate == *aggregate) {
            Some(due) => due.sequence = due.sequence.max(sequence),
            None if room => {
                work.waiting.push_back(Due { kind, aggregate: aggregate.clone(), sequence });
            }
            None => return,
        }
        if work.task.as_ref().is_none_or(JoinHandle::is_finished) {
            work.task = Some(tokio::spawn(run(self.store.clone(), self.work.clone())));
        }
    }

    /// Waits up to two seconds for due snapshots, and gives up the others.
    pub(super) async fn close(&self) {
        let Some(mut task) = lock(&self.work).task.take() else { return };
        if tokio::time::timeout(CLOSING, &mut task).await.is_err() {
            task.abort();
        }
        lock(&self.work).waiting.clear();
    }
}

async fn run(store: Arc<dyn Store>, work: Arc<Mutex<Work>>) {
    loop {
        let Due { kind, aggregate, sequence } = {
            let mut work = lock(&work);
            match work.waiting.pop_front() {
                Some(due) => due,
                None => {
                    work.task = None;
                    return;
                }
            }
        };
        match write(&*store, kind, &aggregate, sequence).await {
            Ok(()) => {}
            Err(SnapshotFailure::SnapshotError(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%aggregate, error, "the state of this aggregate type does not restore: no snapshots are written of it");
                lock(&work).unfit.insert(kind.name());
            }
            Err(error) => {
                tracing::warn!(%aggregate, error = &error as &dyn std::error::Error, "a snapshot could not be written")
            }
        }
    }
}

async fn write(
    store: &dyn Store,
    kind: AggregateType,
    aggregate: &Ref,
    sequence: u64,
) -> Result<(), SnapshotFailure> {
    let mut fold = base(store, kind, aggregate, sequence).await?;
    // Stop at the requested sequence: an aggregate that is written all the time would never end.
    while fold.sequence() < sequence {
        let before = fold.sequence();
        fold.apply_until(store, sequence.min(before - before % KEPT_EVERY + KEPT_EVERY)).await?;
        if fold.sequence() == before {
            break;
        }
        if fold.sequence().is_multiple_of(KEPT_EVERY) {
            kept_snapshots::keep(store, aggregate, &fold.snapshot()?).await?;
        }
    }
    if fold.folded > 0 && fold.sequence() >= PAGE as u64 {
        store.views().save_snapshot(aggregate, fold.snapshot()?).await?;
    }
    Ok(())
}

/// The state to go on from: that of the newest snapshot, unless a snapshot before it is to be kept and is missing.
async fn base<'a>(
    store: &dyn Store,
    kind: AggregateType,
    aggregate: &'a Ref,
    sequence: u64,
) -> Result<StateFold<'a>, LoadError> {
    let due = sequence - sequence % KEPT_EVERY;
    let kept = kept_snapshots::find_in_log(store, aggregate, &kind.0.shape(), due).await?;
    let missing = kept.as_ref().map_or(0, |kept| kept.sequence) + KEPT_EVERY;
    let newest =
        store.views().load_snapshot(aggregate).await?.filter(|newest| newest.sequence < missing || missing > due);
    for snapshot in newest.iter().chain(&kept) {
        // Not a page further: the fold has to stop where a snapshot is to be kept.
        if let Some((fold, _)) = StateFold::on_snapshot(store, kind, aggregate, snapshot, snapshot.sequence).await?
        {
            return Ok(fold);
        }
    }
    StateFold::fresh(kind, aggregate)
}

fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}
