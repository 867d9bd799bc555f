//! [`ConflictSet`]: what depends on commits that failed.

use std::collections::HashSet;

use super::Commit;
use crate::events::Ref;

/// What failed commits wrote, and their order groups: every later commit that names one of them fails too, transitively.
///
/// A store that appends commit by commit keeps one set for each batch. Without it, a later commit's expected sequence
/// could match by chance, although the commit was decided on a state that never existed. What a failed commit only read
/// has the state that it had before, so others may depend on it.
#[derive(Clone, Debug, Default)]
pub struct ConflictSet {
    everything: bool,
    aggregates: HashSet<Ref>,
    /// Only read by commits that conflicted: their cached states may be outdated.
    outdated: HashSet<Ref>,
    order_groups: HashSet<u64>,
}

impl ConflictSet {
    /// Returns whether `commit` depends on a failed commit.
    #[must_use]
    pub fn affects(&self, commit: &Commit) -> bool {
        self.everything
            || commit.order_group().is_some_and(|order_group| self.order_groups.contains(&order_group))
            || commit.streams().iter().any(|stream| self.aggregates.contains(stream.aggregate()))
    }

    /// Adds the order group of a failed commit, and the aggregates that it would have written.
    pub fn add(&mut self, commit: &Commit) {
        self.order_groups.extend(commit.order_group());
        let written = commit.streams().iter().filter(|stream| !stream.events().is_empty());
        self.aggregates.extend(written.map(|stream| stream.aggregate().clone()));
    }

    /// Adds a commit that conflicted: one of its aggregates has newer events, perhaps one that it only read.
    pub(crate) fn add_outdated(&mut self, commit: &Commit) {
        self.add(commit);
        self.outdated.extend(commit.streams().iter().map(|stream| stream.aggregate().clone()));
    }

    /// Returns whether no commit failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everything && self.order_groups.is_empty() && self.aggregates.is_empty() && self.outdated.is_empty()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.everything |= other.everything;
        self.aggregates.extend(other.aggregates);
        self.outdated.extend(other.outdated);
        self.order_groups.extend(other.order_groups);
    }

    /// Marks every commit as dependent: the log is not the one on which they were decided.
    pub(crate) fn add_all(&mut self) {
        self.everything = true;
    }

    pub(crate) fn is_all(&self) -> bool {
        self.everything
    }

    /// The aggregates whose cached states are not those of the log.
    pub(crate) fn aggregates(&self) -> impl Iterator<Item = &Ref> {
        self.aggregates.union(&self.outdated)
    }
}
