//! Reads the tables for the nodes that the walk comes to next, many at a time: a read of the log for each step would cost more than
//! all else. What it expects wrongly is not used.

use std::collections::{BTreeMap, HashSet};

use super::{Node, ROUND, Successors, Walk, used_and_previous, used_by};
use crate::projections::provenance::ProvenanceError;
use crate::projections::provenance::lookup::{self, MAX_FANOUT, VersionRow};
use crate::projections::provenance::query::Direction;
use crate::store::ViewSnapshot;

/// How many nodes' successors are looked up at a time. A successor may come before the other nodes, so that those are not needed.
const FOLLOWED: usize = 8;

type Pending = BTreeMap<Node, u8>;

impl Walk<'_> {
    /// Continues as the walk will, by the tables alone. Returns the positions of the events that it comes to and that are not yet read, in
    /// this order.
    pub(super) async fn look_ahead(
        &mut self,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<Vec<u64>, ProvenanceError> {
        let mut pending = self.pending.clone();
        for (node, depth, _) in self.root.iter().take(ROUND) {
            add(&mut pending, *node, *depth);
        }
        let mut positions = Vec::new();
        for _ in 0..ROUND {
            let Some((node, depth)) = self.in_order(&pending).next() else { break };
            let position = node.position();
            if !self.versions.contains_key(&position) {
                self.read_versions(&pending, snapshot).await?;
            }
            if !self.facts.contains_key(&position) && !positions.contains(&position) {
                positions.push(position);
            }
            let is_needed = !self.is_last(node, depth) && !self.successors.contains_key(&node);
            if self.direction == Direction::Forwards && is_needed {
                let next = self.in_order(&pending).filter(|(node, depth)| !self.is_last(*node, *depth));
                let next = next.map(|(node, _)| node).filter(|node| !self.successors.contains_key(node));
                let known = next.filter(|node| self.versions.contains_key(&node.position()));
                let known = known.take(FOLLOWED).collect();
                self.read_successors(known, snapshot).await?;
            }
            pending.remove(&node);
            for (next, deeper) in self.expected(node) {
                let depth = depth.saturating_add(deeper);
                if depth <= self.depth && self.is_first(node, next) {
                    add(&mut pending, next, depth);
                }
            }
        }
        if self.direction == Direction::Forwards {
            self.read_uses(&positions, snapshot).await?;
        }
        Ok(positions)
    }

    /// These nodes in the order of the walk.
    fn in_order<'p>(&self, pending: &'p Pending) -> Box<dyn Iterator<Item = (Node, u8)> + Send + 'p> {
        let nodes = pending.iter().map(|(node, depth)| (*node, *depth));
        match self.direction {
            Direction::Backwards => Box::new(nodes.rev()),
            Direction::Forwards => Box::new(nodes),
        }
    }

    /// The nodes next to a node, as far as the tables say.
    fn expected(&self, node: Node) -> Vec<(Node, u8)> {
        let Some(version) = self.versions.get(&node.position()) else { return Vec::new() };
        match self.direction {
            Direction::Backwards => {
                let uses = self.uses.get(&node.position()).map_or(&[][..], Vec::as_slice);
                used_and_previous(node, version, uses)
            }
            Direction::Forwards => {
                let after = self.successors.get(&node).map_or(&[][..], |successors| &successors.nodes);
                after.iter().copied().chain(self.next_version(node, version)).collect()
            }
        }
    }

    /// Reads the next versions that are not yet known; backwards, also their commands, and what all of them used.
    async fn read_versions(
        &mut self,
        pending: &Pending,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<(), ProvenanceError> {
        let next = self.in_order(pending).take(ROUND).map(|(node, _)| node.position());
        let mut unknown: Vec<u64> = next.filter(|position| !self.versions.contains_key(position)).collect();
        unknown.dedup();
        self.versions.extend(lookup::versions_at(&unknown, snapshot).await?);
        if self.direction == Direction::Backwards {
            let firsts: HashSet<u64> =
                unknown.iter().filter_map(|position| Some(self.versions.get(position)?.first)).collect();
            let firsts: Vec<u64> = firsts.into_iter().filter(|first| !self.versions.contains_key(first)).collect();
            self.versions.extend(lookup::versions_at(&firsts, snapshot).await?);
            unknown.extend(firsts);
            self.read_uses(&unknown, snapshot).await?;
        }
        Ok(())
    }

    /// Reads what these events used, and the commands that begin there.
    async fn read_uses(
        &mut self,
        positions: &[u64],
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<(), ProvenanceError> {
        let positions: Vec<u64> =
            positions.iter().copied().filter(|position| !self.uses.contains_key(position)).collect();
        self.uses.extend(positions.iter().map(|position| (*position, Vec::new())));
        for used in lookup::uses_at(&positions, self.bounds.detail, snapshot).await? {
            self.uses.entry(used.position).or_default().push(used);
        }
        Ok(())
    }

    /// Forwards: reads what used the versions of these nodes, which are known, and the events of these commands. What comes of a cause,
    /// and the next version, is not among them.
    pub(super) async fn read_successors(
        &mut self,
        nodes: Vec<Node>,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<(), ProvenanceError> {
        // What used the thing itself is looked up with its own events.
        let others = |version: &&VersionRow| version.makes && version.thing != self.thing;
        let (commands, made): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(|node| node.is_command());
        let firsts: Vec<u64> = commands.iter().map(|node| node.position()).collect();
        let events = lookup::events_of_commands(&firsts, self.bounds.position, snapshot).await?;
        let versions = made.iter().filter_map(|node| self.versions.get(&node.position()).filter(others));
        let versions: Vec<VersionRow> = versions.copied().collect();
        let used = lookup::uses_of_versions(&versions, self.bounds, MAX_FANOUT + 1, snapshot).await?;
        for node in made {
            self.successors.insert(node, Successors::default());
        }
        for (node, events) in commands.into_iter().zip(events) {
            let nodes = events.into_iter().map(|position| (Node::version(position), 0)).collect();
            self.successors.insert(node, Successors { nodes, cut: false });
        }
        for (version, used) in versions.into_iter().zip(used) {
            let nodes = used.into_iter().map(|(position, role)| (used_by(position, role), 1)).collect();
            self.successors.insert(Node::version(version.position), Successors { nodes, cut: false });
        }
        Ok(())
    }
}

fn add(pending: &mut Pending, node: Node, depth: u8) {
    let known = pending.entry(node).or_insert(depth);
    *known = depth.min(*known);
}
