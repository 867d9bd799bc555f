//! [`Member`]: one aggregate of a command that is being decided.

use std::sync::Arc;

use super::state_cache::CachedState;
use crate::aggregates::{AggregateType, AnyState};
use crate::events::Ref;
use crate::store::{NewEvent, StreamAppend};

/// One aggregate in a command's scope: the state that the command is decided on, and what the decision does to it.
#[doc(hidden)]
#[derive(Clone)]
pub struct Member {
    pub(crate) kind: AggregateType,
    pub(crate) aggregate: Ref,
    /// The state that the command is decided on.
    pub(crate) before: AnyState,
    /// The stamp of `before` in the state cache; `None` if it was read from the store for this decision only.
    pub(super) stamp: Option<u64>,
    /// The events that the command decided.
    pub(crate) events: Vec<NewEvent>,
    /// The state after these events.
    pub(crate) after: AnyState,
    /// Whether that state depends on the time of the commit, which is then stored.
    pub(super) time_was_read: bool,
}

impl Member {
    /// A member whose state is not cached.
    pub(crate) fn new(kind: AggregateType, aggregate: Ref, state: AnyState) -> Self {
        let (before, events) = (state.clone(), Vec::new());
        Self { kind, aggregate, before, stamp: None, events, after: state, time_was_read: false }
    }

    /// A member with a state of the state cache.
    pub(super) fn cached(kind: AggregateType, aggregate: Ref, cached: CachedState) -> Self {
        Self { stamp: Some(cached.stamp), ..Self::new(kind, aggregate, cached.state) }
    }

    /// Whether the decision changes the aggregate.
    pub(super) fn is_changed(&self) -> bool {
        !Arc::ptr_eq(&self.before, &self.after)
    }

    /// The number of events before the decision.
    pub(super) fn sequence_before(&self) -> u64 {
        self.kind.0.sequence(&self.before)
    }

    /// The number of events after the decision.
    pub(super) fn sequence_after(&self) -> u64 {
        self.kind.0.sequence(&self.after)
    }

    /// Takes back what was decided.
    pub(crate) fn undo(&mut self) {
        self.events.clear();
        self.after = self.before.clone();
    }

    /// Takes the events out, for the commit.
    pub(super) fn take_append(&mut self) -> StreamAppend {
        StreamAppend::new(self.aggregate.clone(), self.sequence_before(), std::mem::take(&mut self.events))
    }
}
