//! [`StateFold`]: folds a state from committed events, from the first one or on top of a snapshot.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use uuid::Uuid;

use super::{AggregateType, AnyState, LoadError, PAGE, fold, more_may_follow};
use crate::events::{Ref, Stored};
use crate::store::{HashChain, Snapshot, Store, StoreError, read_history};

/// A state and the events that it was folded from. Only committed events are folded.
pub(super) struct StateFold<'a> {
    kind: AggregateType,
    aggregate: &'a Ref,
    state: AnyState,
    /// The id of the last event.
    event_id: Uuid,
    /// The hash chain over all events from the first.
    chain: HashChain,
    /// How many events were folded, without those in the snapshot.
    pub(super) folded: u64,
}

/// An error when a snapshot is made of a state.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the state cannot be written as JSON")]
    Write(#[from] serde_json::Error),
    #[error("the state's JSON does not parse back to the same JSON: see its `Serialize` and `Deserialize`")]
    Asymmetric,
}

impl<'a> StateFold<'a> {
    /// The state before the first event.
    pub(super) fn fresh(kind: AggregateType, aggregate: &'a Ref) -> Result<Self, LoadError> {
        let state = kind.0.fresh(aggregate)?;
        Ok(Self { kind, aggregate, state, event_id: Uuid::nil(), chain: HashChain::default(), folded: 0 })
    }

    /// Restores the newest snapshot and folds the page of events after it. Returns `None` if there is no usable snapshot.
    pub(super) async fn on_newest(
        store: &dyn Store,
        kind: AggregateType,
        aggregate: &'a Ref,
    ) -> Result<Option<(Self, Page)>, LoadError> {
        match store.views().load_snapshot(aggregate).await? {
            Some(snapshot) => Self::on_snapshot(store, kind, aggregate, &snapshot, u64::MAX).await,
            None => Ok(None),
        }
    }

    /// Restores a snapshot and folds the page of events after it, up to the sequence `until`. Returns `None` if the snapshot is
    /// not usable: it is after `until`, has another shape, does not parse, or the log does not have its last event.
    pub(super) async fn on_snapshot(
        store: &dyn Store,
        kind: AggregateType,
        aggregate: &'a Ref,
        snapshot: &Snapshot,
        until: u64,
    ) -> Result<Option<(Self, Page)>, LoadError> {
        let usable = snapshot.shape == kind.0.shape() && snapshot.sequence <= until;
        let Some(before) = snapshot.sequence.checked_sub(1).filter(|_| usable) else { return Ok(None) };
        let events = read_history(store, aggregate, before, page_until(before, until)).await?;
        let Some((last, rest)) = events.split_first() else { return Ok(None) };
        if (last.sequence, last.event_id) != (snapshot.sequence, snapshot.event_id) {
            return Ok(None);
        }
        let Some(state) = restored(kind, aggregate, snapshot.sequence, &snapshot.state) else { return Ok(None) };
        let (event_id, chain) = (snapshot.event_id, snapshot.digest);
        let mut fold = Self { kind, aggregate, state, event_id, chain, folded: 0 };
        fold.apply(rest)?;
        Ok(Some((fold, Page { full: more_may_follow(&events) })))
    }

    /// Folds the events that follow, up to the sequence `until` or the end of the log.
    pub(super) async fn apply_until(&mut self, store: &dyn Store, until: u64) -> Result<(), LoadError> {
        while self.sequence() < until {
            let limit = page_until(self.sequence(), until);
            let events = read_history(store, self.aggregate, self.sequence(), limit).await?;
            if events.is_empty() {
                break;
            }
            self.apply(&events)?;
        }
        Ok(())
    }

    /// Folds the next events.
    pub(super) fn apply(&mut self, events: &[Stored]) -> Result<(), LoadError> {
        let first = self.sequence() + 1;
        if let Some((stored, expected)) = events.iter().zip(first..).find(|(stored, at)| stored.sequence != *at) {
            let Stored { position, sequence, aggregate, .. } = stored;
            let reason = format!("it has sequence {sequence} of {aggregate}, not {expected}: run `check`");
            return Err(StoreError::Corrupt { position: *position, reason }.into());
        }
        fold(self.kind.0, self.aggregate, &mut self.state, events)?;
        events.iter().for_each(|stored| self.chain.add_content(stored));
        self.event_id = events.last().map_or(self.event_id, |last| last.event_id);
        self.folded += events.len() as u64;
        Ok(())
    }

    pub(super) fn sequence(&self) -> u64 {
        self.kind.0.sequence(&self.state)
    }

    #[cfg(feature = "http")]
    pub(super) fn state(&self) -> &AnyState {
        &self.state
    }

    pub(super) fn into_state(self) -> AnyState {
        self.state
    }

    /// Makes a snapshot of the state, and checks that it restores.
    pub(super) fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let kind = self.kind.0;
        let text = kind.snapshot(&self.state)?;
        let back = restored(self.kind, self.aggregate, self.sequence(), &text).ok_or(SnapshotError::Asymmetric)?;
        if !same_json(&text, &kind.snapshot(&back)?) {
            return Err(SnapshotError::Asymmetric);
        }
        let (sequence, event_id, digest) = (self.sequence(), self.event_id, self.chain);
        Ok(Snapshot { sequence, event_id, digest, shape: kind.shape(), state: text })
    }

    /// Whether a state, as JSON text, equals the folded state.
    pub(super) fn is(&self, state: &str) -> Result<bool, serde_json::Error> {
        Ok(same_json(state, &self.kind.0.snapshot(&self.state)?))
    }
}

/// The last page of events that was read.
pub(super) struct Page {
    /// Whether the page was full, so that more may follow.
    pub(super) full: bool,
}

/// The size of a page of events after a sequence that ends at the sequence `until`.
fn page_until(after: u64, until: u64) -> usize {
    usize::try_from(until.saturating_sub(after)).unwrap_or(PAGE).min(PAGE)
}

/// Restores a state from a snapshot's text. Returns `None` also if the application's `Deserialize` panics.
fn restored(kind: AggregateType, aggregate: &Ref, sequence: u64, text: &str) -> Option<AnyState> {
    catch_unwind(AssertUnwindSafe(|| kind.0.restore(aggregate, sequence, text))).ok().flatten()
}

/// Whether two JSON texts are equal. The order of array items is ignored: a `HashSet` is written in any order.
fn same_json(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str(text).map(sorted).ok();
    one == other || read(one).is_some_and(|one| Some(one) == read(other))
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, sorted(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_in_another_order_is_the_same_json_and_a_lost_field_is_not() {
        assert!(same_json(r#"{"a":[1,[2,3]],"b":null}"#, r#"{ "b":null, "a":[[3,2],1] }"#));
        assert!(!same_json(r#"{"a":[1,2]}"#, r#"{"a":[1,2,2]}"#));
        assert!(!same_json(r#"{"a":1,"b":2}"#, r#"{"a":1}"#));
    }
}
