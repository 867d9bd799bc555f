//! [`StateCache`]: states of recently used aggregates in memory, so that a hit costs no read.

use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::member::Member;
use crate::aggregates::AnyState;
use crate::events::Ref;

/// How many states are cached.
const CAPACITY: u64 = 100_000;

/// A cached state. The stamp identifies it: two states of one aggregate may have equal sequences by luck.
#[derive(Clone)]
pub(super) struct CachedState {
    pub(super) state: AnyState,
    pub(super) stamp: u64,
}

/// The states of recently used aggregates. A state may follow from commits that are still queued.
pub(super) struct StateCache {
    states: Cache<Ref, CachedState>,
    next_stamp: AtomicU64,
}

impl Default for StateCache {
    fn default() -> Self {
        // Least recently used: the default policy could refuse a new entry in favour of a more popular one.
        let states = Cache::builder().max_capacity(CAPACITY).eviction_policy(EvictionPolicy::lru()).build();
        Self { states, next_stamp: AtomicU64::new(1) }
    }
}

impl StateCache {
    pub(super) fn get(&self, aggregate: &Ref) -> Option<CachedState> {
        self.states.get(aggregate)
    }

    /// Inserts a state that was read from the store, unless a newer one is cached by now. Returns the cached state.
    pub(super) fn get_or_insert(&self, aggregate: &Ref, state: AnyState) -> CachedState {
        self.states.get_with_by_ref(aggregate, || self.stamped(state))
    }

    /// Replaces the members' states by those after the decision, if all that it was made on are still cached.
    pub(super) fn replace(&self, members: &[Member]) -> bool {
        let is_cached = |member: &Member| self.get(&member.aggregate).map(|cached| cached.stamp) == member.stamp;
        if !members.iter().all(is_cached) {
            return false;
        }
        for member in members.iter().filter(|member| member.is_changed()) {
            self.states.insert(member.aggregate.clone(), self.stamped(member.after.clone()));
        }
        true
    }

    pub(super) fn remove(&self, aggregate: &Ref) {
        self.states.invalidate(aggregate);
    }

    pub(super) fn clear(&self) {
        self.states.invalidate_all();
    }

    fn stamped(&self, state: AnyState) -> CachedState {
        CachedState { state, stamp: self.next_stamp.fetch_add(1, Ordering::Relaxed) }
    }
}
