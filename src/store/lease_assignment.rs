//! Who leads which projection, among the processes that want to run it: shared out evenly, whatever the store.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A projection's name and version.
type Key = (String, u64);

/// What the owners that are alive want and lead. A store reads it, and writes it back, in one transaction that keeps
/// other owners out.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseAssignment {
    wanted: BTreeMap<Key, BTreeSet<Uuid>>,
    leads: BTreeMap<Key, Uuid>,
}

impl LeaseAssignment {
    /// `owner` is alive and wants to run this; `leads`: it does.
    pub(crate) fn add(&mut self, owner: Uuid, key: Key, leads: bool) {
        if leads {
            self.leads.insert(key.clone(), owner);
        }
        self.wanted.entry(key).or_default().insert(owner);
    }

    /// What `owner` leads from now on.
    ///
    /// A free projection goes to the one of its owners that leads the fewest; `owner` takes those that fall to it, and
    /// leaves the others to those that they fall to, who will call. It then lets go of one as long as that makes two
    /// shares more even. So none that anybody wants is left alone, and even shares stay as they are.
    pub(crate) fn for_owner(&self, owner: Uuid) -> BTreeSet<Key> {
        let mut counts: BTreeMap<Uuid, usize> = BTreeMap::new();
        for leader in self.leads.values() {
            *counts.entry(*leader).or_default() += 1;
        }
        let count = |counts: &BTreeMap<Uuid, usize>, of: Uuid| counts.get(&of).copied().unwrap_or(0);
        let mut led: BTreeSet<Key> =
            self.leads.iter().filter(|(_, leader)| **leader == owner).map(|(key, _)| key.clone()).collect();

        let mut free: Vec<_> = self.wanted.iter().filter(|(key, _)| !self.leads.contains_key(*key)).collect();
        // Who has the least choice comes first.
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
