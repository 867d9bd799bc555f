//! Loads states of the past: of an aggregate at a position of the log, or after a number of its events.

use super::state_fold::StateFold;
use super::{AggregateType, AnyState, LoadError, PAGE, Repository, more_may_follow};
use crate::events::Ref;
#[cfg(feature = "http")]
use crate::events::Stored;
use crate::store::kept_snapshots::{self, KEPT_EVERY};
use crate::store::{Store, StoreError, read_history};

/// By which factor a sequence is raised until the log has no event of it.
const STRIDE: u64 = 16;

/// A state before and after an event of the aggregate.
#[cfg(feature = "http")]
pub(crate) struct Version {
    pub(crate) before: AnyState,
    pub(crate) after: AnyState,
    pub(crate) event: Stored,
    /// Whether the aggregate has later events.
    pub(crate) has_next: bool,
}

impl Repository {
    /// Loads the state after the aggregate's events up to a position of the log.
    pub(crate) async fn load_at(
        &self,
        kind: AggregateType,
        aggregate: &Ref,
        position: u64,
    ) -> Result<AnyState, LoadError> {
        let events = read_history(&*self.store, aggregate, 0, PAGE).await?;
        let until = events.partition_point(|event| event.position <= position);
        if until < events.len() || !more_may_follow(&events) {
            let mut fold = StateFold::fresh(kind, aggregate)?;
            fold.apply(&events[..until])?;
            return Ok(fold.into_state());
        }
        let sequence = sequence_at(&*self.store, aggregate, position, events.len() as u64).await?;
        Ok(self.fold_until(kind, aggregate, sequence).await?.into_state())
    }

    /// Loads the state before and after the event of this sequence; `None` if the aggregate has no such event.
    #[cfg(feature = "http")]
    pub(crate) async fn load_version(
        &self,
        kind: AggregateType,
        aggregate: &Ref,
        sequence: u64,
    ) -> Result<Option<Version>, LoadError> {
        let Some(before) = sequence.checked_sub(1) else { return Ok(None) };
        let mut events = self.store.load(aggregate, before, 2).await?.into_iter();
        let Some(event) = events.next().filter(|event| event.sequence == sequence) else { return Ok(None) };
        let mut fold = self.fold_until(kind, aggregate, before).await?;
        let before = fold.state().clone();
        fold.apply(std::slice::from_ref(&event))?;
        Ok(Some(Version { before, after: fold.into_state(), event, has_next: events.next().is_some() }))
    }

    /// Folds the first events up to this sequence, from the last snapshot that is not after it.
    async fn fold_until<'a>(
        &self,
        kind: AggregateType,
        aggregate: &'a Ref,
        sequence: u64,
    ) -> Result<StateFold<'a>, LoadError> {
        let store = &*self.store;
        let kept = kept_snapshots::find_in_log(store, aggregate, &kind.0.shape(), sequence).await?;
        let newest = match sequence < PAGE as u64 {
            true => None,
            false => store.views().load_snapshot(aggregate).await?,
        };
        let mut snapshots: Vec<_> = newest.into_iter().chain(kept).filter(|one| one.sequence <= sequence).collect();
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.sequence));
        let mut fold = None;
        for snapshot in &snapshots {
            fold = StateFold::on_snapshot(store, kind, aggregate, snapshot, sequence).await?.map(|(fold, _)| fold);
            if fold.is_some() {
                break;
            }
        }
        let mut fold = match fold {
            Some(fold) => fold,
            None => StateFold::fresh(kind, aggregate)?,
        };
        if sequence - fold.sequence() > KEPT_EVERY {
            // Snapshots are missing: the store is of before, or the aggregate's shape has changed. Asked for now, because the
            // caller may not wait for the end.
            self.snapshots.request(kind, aggregate, sequence);
        }
        fold.apply_until(store, sequence).await?;
        Ok(fold)
    }
}

/// Returns the sequence of the aggregate's last event up to a position. The event of the sequence `known` is one of them.
async fn sequence_at(store: &dyn Store, aggregate: &Ref, position: u64, known: u64) -> Result<u64, StoreError> {
    // Up to `low` the events are before the moment, from `high` on they are not. Positions rise with sequences.
    let (mut low, mut high) = (known, None);
    while high.is_none_or(|high| low + 1 < high) {
        let sequence = match high {
            Some(high) => low + (high - low) / 2,
            None => low.saturating_mul(STRIDE),
        };
        let event = store.load(aggregate, sequence - 1, 1).await?.pop();
        match event.filter(|event| event.sequence == sequence && event.position <= position) {
            Some(_) => low = sequence,
            None => high = Some(sequence),
        }
    }
    Ok(low)
}
