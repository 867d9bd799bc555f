//! States kept in memory between commands, so that a hit costs no read.

use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;

use super::State;
use crate::events::Ref;

/// A cached state. Two entries are the same if their stamps are: a sequence could be equal by luck.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) state: State,
    pub(crate) stamp: u64,
}

/// The states of recently used aggregates. Some are still on their way to the log: whoever decides on one hands its
/// stamp to the queue, which admits the decision only if the entry is still there.
pub(crate) struct Cache {
    entries: Moka<Ref, Entry>,
    stamps: AtomicU64,
}

impl Cache {
    pub(crate) fn new(capacity: u64) -> Self {
        // Least recently used: what was just put in must not be turned away in favour of something more popular.
        let entries = Moka::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build();
        Self { entries, stamps: AtomicU64::new(1) }
    }

    pub(crate) fn get(&self, aggregate: &Ref) -> Option<Entry> {
        self.entries.get(aggregate)
    }

    /// Puts a state in place of whatever is there.
    pub(crate) fn put(&self, aggregate: &Ref, state: State) {
        self.entries.insert(aggregate.clone(), self.entry(state));
    }

    /// Puts a state that was read from the store, unless a newer one is there by now; answers what is there.
    pub(crate) fn put_read(&self, aggregate: &Ref, state: State) -> Entry {
        self.entries.get_with_by_ref(aggregate, || self.entry(state))
    }

    pub(crate) fn forget(&self, aggregate: &Ref) {
        self.entries.invalidate(aggregate);
    }

    pub(crate) fn forget_all(&self) {
        self.entries.invalidate_all();
    }

    fn entry(&self, state: State) -> Entry {
        Entry { state, stamp: self.stamps.fetch_add(1, Ordering::Relaxed) }
    }
}
