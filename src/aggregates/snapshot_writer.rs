//! [`SnapshotWriter`]: makes snapshots in the background, from rows of the log alone.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::folding::{Folding, Unfit};
use super::{Kind, LoadError, PAGE};
use crate::events::Ref;
use crate::store::{Store, StoreError};

/// How many aggregates wait for a snapshot at most. Others go without one until they are due again.
const WAITING: usize = 256;
/// How long closing waits for the snapshots that are due.
const CLOSING: Duration = Duration::from_secs(2);

/// Makes one snapshot at a time. A state in memory may be one that is not committed, so it is never used: the previous
/// snapshot and the stored events after it are read, folded and kept.
pub(super) struct SnapshotWriter {
    store: Arc<dyn Store>,
    work: Arc<Mutex<Work>>,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Due>,
    task: Option<JoinHandle<()>>,
    /// The aggregate types of which no snapshot can be made.
    unfit: HashSet<&'static str>,
}

struct Due {
    kind: Kind,
    aggregate: Ref,
    /// The sequence to reach, if the log reaches it.
    sequence: u64,
}

#[derive(Debug, thiserror::Error)]
enum SnapshotFailure {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SnapshotWriter {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, work: Arc::default() }
    }

    /// Asks for a snapshot of an aggregate that seems to have `sequence` events.
    pub(super) fn request(&self, kind: Kind, aggregate: &Ref, sequence: u64) {
        let mut work = lock(&self.work);
        if work.unfit.contains(kind.aggregate_type()) {
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

    /// Waits for a moment until the snapshots that are due are kept, and gives up the others.
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
        match keep(&*store, kind, &aggregate, sequence).await {
            Ok(()) => {}
            Err(SnapshotFailure::Unfit(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%aggregate, error, "no snapshots are kept of aggregates of this type");
                lock(&work).unfit.insert(kind.aggregate_type());
            }
            Err(error) => {
                tracing::warn!(%aggregate, error = &error as &dyn std::error::Error, "no snapshot was kept")
            }
        }
    }
}

async fn keep(store: &dyn Store, kind: Kind, aggregate: &Ref, sequence: u64) -> Result<(), SnapshotFailure> {
    let mut folding = match Folding::on_snapshot(store, kind, aggregate).await? {
        Some((folding, _)) => folding,
        None => Folding::fresh(kind, aggregate)?,
    };
    // No further than was asked for: an aggregate that is written all the time has no end to wait for.
    while folding.sequence() < sequence {
        let events = store.load(aggregate, folding.sequence(), PAGE).await?;
        if events.is_empty() {
            break;
        }
        folding.take(&events)?;
    }
    if folding.folded > 0 && folding.sequence() >= PAGE as u64 {
        store.save_snapshot(aggregate, folding.snapshot()?).await?;
    }
    Ok(())
}

fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}
