//! [`Repository`]: loads states from the store: a snapshot and the events after it, or all events.

use std::sync::Arc;

use super::snapshot_writer::SnapshotWriter;
use super::state_fold::StateFold;
use super::{AggregateType, AnyState, ErasedAggregateType};
use crate::events::{DecodeError, InvalidRef, Ref, Stored};
use crate::store::{MomentError, Store, StoreError, is_full, read_history};
use crate::text::name_list;

/// The most events in a page, which is bounded in bytes too. An aggregate with fewer events needs no snapshot.
pub(super) const PAGE: usize = 256;
/// A snapshot is written whenever an aggregate passes a multiple of this number of events.
const SNAPSHOT_EVERY: u64 = 256;

/// An error when an aggregate is loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The id is invalid.
    #[error(transparent)]
    Id(#[from] InvalidRef),
    /// A stored event does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The moment of which the state was asked is not in the log.
    #[error(transparent)]
    Moment(#[from] MomentError),
    /// The application has no aggregate type of this name.
    #[error("there is no aggregate type `{kind}`: there are {}", name_list(.known))]
    UnknownKind {
        /// The name.
        kind: String,
        /// The names of the application's aggregate types.
        known: Vec<&'static str>,
    },
    /// The state cannot be written as JSON.
    #[error("the state of {aggregate} cannot be written as JSON")]
    Json {
        /// The aggregate.
        aggregate: Ref,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The aggregate's `apply` panicked.
    #[error("`apply` of {0} panicked on its stored events")]
    Panicked(Ref),
    /// The program has another aggregate type with the same `TYPE`.
    #[error("{0} was loaded as another Rust type: two aggregate types have the same TYPE")]
    OtherType(Ref),
}

/// Loads aggregates, and has snapshots written.
pub(crate) struct Repository {
    pub(super) store: Arc<dyn Store>,
    pub(super) snapshots: SnapshotWriter,
}

impl Repository {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let snapshots = SnapshotWriter::new(store.clone());
        Self { store, snapshots }
    }

    /// Loads the state after the last committed event.
    pub(crate) async fn load(&self, kind: AggregateType, aggregate: &Ref) -> Result<AnyState, LoadError> {
        let events = read_history(&*self.store, aggregate, 0, PAGE).await?;
        let mut full = more_may_follow(&events);
        let on_snapshot = if full { StateFold::on_newest(&*self.store, kind, aggregate).await? } else { None };
        let mut fold = match on_snapshot {
            Some((fold, page)) => {
                full = page.full;
                fold
            }
            None => {
                let mut fold = StateFold::fresh(kind, aggregate)?;
                fold.apply(&events)?;
                fold
            }
        };
        while full {
            let events = read_history(&*self.store, aggregate, fold.sequence(), PAGE).await?;
            fold.apply(&events)?;
            full = more_may_follow(&events);
        }
        if fold.folded > SNAPSHOT_EVERY {
            self.snapshots.request(kind, aggregate, fold.sequence());
        }
        Ok(fold.into_state())
    }

    /// Requests a snapshot of an aggregate that went from one sequence to another, if one is due.
    pub(crate) fn request_snapshot(&self, kind: AggregateType, aggregate: &Ref, before: u64, after: u64) {
        if before / SNAPSHOT_EVERY != after / SNAPSHOT_EVERY {
            self.snapshots.request(kind, aggregate, after);
        }
    }

    /// Ends the background task.
    pub(crate) async fn close(&self) {
        self.snapshots.close().await;
    }
}

/// Whether a page is full, so that more events may follow.
pub(super) fn more_may_follow(page: &[Stored]) -> bool {
    page.len() == PAGE || is_full(page)
}

/// Folds stored events into a state. A panic in `apply` is an error, and the state stays as it was.
pub(crate) fn fold(
    kind: &dyn ErasedAggregateType,
    aggregate: &Ref,
    state: &mut AnyState,
    events: &[Stored],
) -> Result<(), LoadError> {
    let mut after = state.clone();
    let folded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kind.fold(&mut after, events)));
    folded.map_err(|_| LoadError::Panicked(aggregate.clone()))??;
    *state = after;
    Ok(())
}
