//! [`LeaseAssignment`]: assigns the leases of projections evenly to the processes that want them, for every store.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A projection's name and version.
type Key = (String, u64);

/// The projections that each live owner wants and leads. A store reads and writes them in one transaction, which
/// excludes other owners.
#[derive(Clone, Debug, Default)]
pub struct LeaseAssignment {
    wanted: BTreeMap<Key, BTreeSet<Uuid>>,
    leads: BTreeMap<Key, Uuid>,
}

impl LeaseAssignment {
    /// Adds a live owner that wants to run a projection; `leads`: whether it leads it now.
    pub fn add(&mut self, owner: Uuid, key: Key, leads: bool) {
        if leads {
            self.leads.insert(key.clone(), owner);
        }
        self.wanted.entry(key).or_default().insert(owner);
    }

    /// Returns the projections that `owner` leads from now on.
    ///
    /// A free projection is assigned to the owner that leads the fewest of those that want it. `owner` acquires those
    /// that are assigned to it; another owner acquires its own at its next call. `owner` then releases one projection
    /// at a time while that makes two shares more even. So every wanted projection gets a leader, and even shares do
    /// not change.
    #[must_use]
    pub fn for_owner(&self, owner: Uuid) -> BTreeSet<Key> {
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for leader in self.leads.values() {
            *counts.entry(*leader).or_default() += 1;
        }
        let count = |counts: &BTreeMap<Uuid, usize>, of: Uuid| counts.get(&of).copied().unwrap_or(0);
        let mut led: BTreeSet<Key> =
            self.leads.iter().filter(|(_, leader)| **leader == owner).map(|(key, _)| key.clone()).collect();

        let mut free: Vec<_> = self.wanted.iter().filter(|(key, _)| !self.leads.contains_key(*key)).collect();
        // The projections with the fewest owners to choose from come first.
        free.sort_by_key(|(_, owners)| owners.len());
        for (key, owners) in free {
            let fewest = owners.iter().min_by_key(|other| (count(&counts, **other), **other != owner));
            let Some(taker) = fewest else { continue };
            *counts.entry(*taker).or_default() += 1;
            if *taker == owner {
                led.insert(key.clone());
            }
        }

        loop {
            let mine = count(&counts, owner);
            let others = |key: &Key| self.wanted.get(key).into_iter().flatten().filter(|other| **other != owner);
            let moves = led.iter().flat_map(|key| others(key).map(move |other| (key, *other)));
            let best = moves.min_by_key(|(_, other)| count(&counts, *other));
            let Some((key, other)) = best.filter(|(_, other)| count(&counts, *other) + 1 < mine) else {
                return led;
            };
            let key = key.clone();
            led.remove(&key);
            *counts.entry(other).or_default() += 1;
            counts.insert(owner, mine - 1);
        }
    }
}
