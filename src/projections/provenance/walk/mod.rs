//! [`Walk`]: goes from node to node in the order of the log.
//!
//! A node is a command, by the position of its first event, or what an event made: see [`Node`]. What was used is older than what
//! used it. So a walk backwards that always takes the newest node has met everything that leads to it, and meets it once.
//!
//! ## Layout
//! - `ahead`: reads the tables for the nodes that the walk comes to next

mod ahead;

use std::collections::{BTreeMap, HashMap, VecDeque};

use uuid::Uuid;

use super::facts::{self, Cause, Facts};
use super::lookup::{self, Bounds, MAX_FANOUT, UsedRow, VersionRow};
use super::query::Direction;
use super::role::Role;
use super::tables::{READS, USES};
use super::{ACCESS_LOG, ProvenanceError};
use crate::events::LogPosition;
use crate::projections::Reading;
use crate::store::{StoreError, ViewSnapshot};

/// The most nodes that are reached and not yet shown: those that are farthest away are named, but not followed.
const MAX_PENDING: usize = 512;

/// How many nodes are looked up at a time.
const ROUND: usize = 32;

/// How many events and uses of the thing itself are looked up at a time.
const ROOT_CHUNK: usize = 128;

/// A node. The order of nodes is that of the log, with a command before what it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node(pub u64);

impl Node {
    /// The command whose first event is at this position.
    fn command(first: u64) -> Self {
        Self(first * 2)
    }

    /// What the event at this position made or ended.
    fn version(position: u64) -> Self {
        Self(position * 2 + 1)
    }

    pub(super) fn position(self) -> u64 {
        self.0 / 2
    }

    pub(super) fn is_command(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

/// The nodes next to a node, each with how much deeper it is.
#[derive(Default)]
struct Successors {
    nodes: Vec<(Node, u8)>,
    /// Whether there are more.
    cut: bool,
}

/// A walk from a thing.
pub(super) struct Walk<'a> {
    pub reading: &'a Reading,
    pub direction: Direction,
    pub depth: u8,
    pub bounds: Bounds,
    /// The checkpoint of the tables when the page began.
    pub head: LogPosition,
    /// The number of the thing.
    pub thing: i64,
    /// The node that was taken last.
    pub last: Option<Node>,
    /// The sequence of the thing's own event that was taken last; at the beginning of a walk backwards, one after the newest.
    pub sequence: u64,
    pub pending: BTreeMap<Node, u8>,
    pub deeper: bool,
    pub unfollowed: bool,
    root: VecDeque<(Node, u8, Option<u64>)>,
    /// The sequence of the thing's own event that was looked up last.
    looked_up: u64,
    root_is_complete: bool,
    /// By position, as the rest: what is known of the nodes that the walk comes to.
    facts: HashMap<u64, Facts>,
    versions: HashMap<u64, VersionRow>,
    uses: HashMap<u64, Vec<UsedRow>>,
    /// Forwards: what used a version, and the events of a command.
    successors: HashMap<Node, Successors>,
    /// Forwards: the numbers of the commands and events that others name as their cause.
    causes: HashMap<Uuid, i64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(reading: &'a Reading, direction: Direction, depth: u8, bounds: Bounds, thing: i64) -> Self {
        Self {
            reading,
            direction,
            depth,
            bounds,
            head: LogPosition::default(),
            thing,
            last: None,
            sequence: 0,
            pending: BTreeMap::new(),
            deeper: false,
            unfollowed: false,
            root: VecDeque::new(),
            looked_up: 0,
            root_is_complete: false,
            facts: HashMap::new(),
            versions: HashMap::new(),
            uses: HashMap::new(),
            successors: HashMap::new(),
            causes: HashMap::new(),
        }
    }

    /// Continues after the node that was taken last.
    pub(super) fn resume(&mut self) {
        self.looked_up = self.sequence;
    }

    /// Whether `a` is taken before `b`.
    fn is_first(&self, a: Node, b: Node) -> bool {
        match self.direction {
            Direction::Backwards => a > b,
            Direction::Forwards => a < b,
        }
    }

    /// The next node, without taking it.
    pub(super) async fn peek(&mut self) -> Result<Option<Node>, ProvenanceError> {
        while self.root.is_empty() && !self.root_is_complete {
            let mut snapshot = self.reading.snapshot().await?;
            self.look_up_root(&mut *snapshot).await?;
        }
        let root = self.root.front().map(|(node, ..)| *node);
        Ok(match (root, self.next_pending()) {
            (Some(root), Some(pending)) => Some(if self.is_first(root, pending) { root } else { pending }),
            (root, pending) => root.or(pending),
        })
    }

    fn next_pending(&self) -> Option<Node> {
        match self.direction {
            Direction::Backwards => self.pending.last_key_value().map(|(node, _)| *node),
            Direction::Forwards => self.pending.first_key_value().map(|(node, _)| *node),
        }
    }

    /// Takes the next node, with its depth.
    pub(super) async fn take(&mut self) -> Result<Option<(Node, u8)>, ProvenanceError> {
        let Some(node) = self.peek().await? else { return Ok(None) };
        if !self.facts.contains_key(&node.position()) {
            self.look_up(node).await?;
        }
        let mut depth = self.pending.remove(&node);
        while let Some((_, at, sequence)) = self.root.front().copied().filter(|(root, ..)| *root == node) {
            depth = Some(depth.map_or(at, |depth| depth.min(at)));
            self.sequence = sequence.unwrap_or(self.sequence);
            self.root.pop_front();
        }
        self.last = Some(node);
        // The walk does not return to events behind this node.
        let (direction, position) = (self.direction, node.position());
        let is_left = |at: &u64| match direction {
            Direction::Backwards => *at <= position,
            Direction::Forwards => *at >= position,
        };
        self.facts.retain(|at, _| is_left(at));
        self.versions.retain(|at, _| is_left(at));
        self.uses.retain(|at, _| is_left(at));
        Ok(depth.map(|depth| (node, depth)))
    }

    pub(super) fn facts(&self, node: Node) -> Option<&Facts> {
        self.facts.get(&node.position())
    }

    /// Adds the nodes next to a node that was taken.
    pub(super) async fn follow(&mut self, node: Node, depth: u8) -> Result<(), ProvenanceError> {
        let successors = match self.direction {
            Direction::Backwards => self.before(node),
            Direction::Forwards => self.after(node, depth).await?,
        };
        self.unfollowed |= successors.cut;
        for (next, deeper) in successors.nodes {
            let depth = depth.saturating_add(deeper);
            if depth > self.depth {
                self.deeper = true;
                continue;
            }
            let known = self.pending.entry(next).or_insert(depth);
            *known = depth.min(*known);
            if self.pending.len() > MAX_PENDING {
                self.unfollowed = true;
                match self.direction {
                    Direction::Backwards => self.pending.pop_first(),
                    Direction::Forwards => self.pending.pop_last(),
                };
            }
        }
        Ok(())
    }

    /// Looks up the next events of the thing itself; forwards, also what used them.
    async fn look_up_root(&mut self, snapshot: &mut dyn ViewSnapshot) -> Result<(), ProvenanceError> {
        let thing = self.thing;
        if self.direction == Direction::Backwards {
            let events = lookup::events_of(thing, 0..self.looked_up, true, ROOT_CHUNK, snapshot).await?;
            self.root_is_complete = events.len() < ROOT_CHUNK;
            self.looked_up = events.last().map_or(0, |(sequence, _)| *sequence);
            self.root.extend(
                events.into_iter().map(|(sequence, position)| (Node::version(position), 0, Some(sequence))),
            );
            return Ok(());
        }
        let last = self.root.back().map(|(node, ..)| *node).or(self.last);
        let after = last.map_or(0, |last| last.position().saturating_sub(1));
        let events = lookup::events_of(thing, self.looked_up + 1..u64::MAX, false, ROOT_CHUNK, snapshot).await?;
        let uses = lookup::uses_of(&USES, thing, after, self.bounds, ROOT_CHUNK, snapshot).await?;
        let reads = lookup::uses_of(&READS, thing, after, self.bounds, ROOT_CHUNK, snapshot).await?;
        // Of a list that has more, only what is before its last entry is complete.
        let mut complete = Node(u64::MAX);
        let lists = [
            (events.len(), events.last().map(|(_, position)| Node::version(*position))),
            (uses.len(), uses.last().map(|(position, role)| used_by(*position, *role))),
            (reads.len(), reads.last().map(|(position, role)| used_by(*position, *role))),
        ];
        for (length, last) in lists {
            if length == ROOT_CHUNK {
                complete = complete.min(last.unwrap_or(complete));
            }
        }
        let mut found: BTreeMap<Node, (u8, Option<u64>)> = BTreeMap::new();
        found.extend(uses.into_iter().chain(reads).map(|(position, role)| (used_by(position, role), (1, None))));
        found.extend(events.into_iter().map(|(sequence, position)| (Node::version(position), (0, Some(sequence)))));
        let bound = Node::version(self.bounds.position);
        let is_new = |node: &Node| last.is_none_or(|last| *node > last);
        found.retain(|node, _| *node <= complete && is_new(node));
        self.root_is_complete = complete == Node(u64::MAX) || complete > bound;
        for (node, (depth, sequence)) in found.into_iter().filter(|(node, _)| *node <= bound) {
            self.looked_up = sequence.unwrap_or(self.looked_up);
            self.root.push_back((node, depth, sequence));
        }
        Ok(())
    }

    /// Looks up the next nodes: in the tables as far as the walk is expected to go, then their events in the log together.
    async fn look_up(&mut self, node: Node) -> Result<(), ProvenanceError> {
        let mut snapshot = self.reading.snapshot().await?;
        let positions = self.look_ahead(&mut *snapshot).await?;
        // Not held while the log is read: both may need a connection of one pool.
        drop(snapshot);
        let (events, _) = self.reading.events(&positions, self.head).await?;
        let read: Vec<u64> = events.iter().map(|stored| stored.position).collect();
        for mut stored in events {
            let position = stored.position;
            let Some(mut version) = self.versions.get(&position).copied() else { continue };
            if stored.aggregate.kind() == ACCESS_LOG {
                // No record is made from the one before it.
                (version.previous, version.next) = (None, None);
            }
            let metadata = stored.metadata().map_err(|source| ProvenanceError::Decode { position, source })?;
            let uses = self.uses.get(&position).cloned().unwrap_or_default();
            let read = facts::recorded_read(self.reading, self.bounds.detail, &stored)?;
            let source_roles = facts::source_roles(self.reading, &stored)?;
            // It may be large, and there may be many.
            stored.payload = String::new();
            stored.metadata = String::new();
            self.facts.insert(position, Facts { stored, metadata, version, uses, cause: None, read, source_roles });
        }
        if !self.facts.contains_key(&node.position()) {
            return Err(StoreError::Diverged(LogPosition { position: node.position(), ..self.head }).into());
        }
        facts::find_causes(self.reading, &read, &mut self.facts).await?;
        match self.direction {
            Direction::Backwards => Ok(()),
            Direction::Forwards => self.find_caused(&read).await,
        }
    }

    /// Finds which of these events, and of the commands that begin there, others name as their cause.
    async fn find_caused(&mut self, positions: &[u64]) -> Result<(), ProvenanceError> {
        let of = |position: &u64| {
            let stored = &self.facts.get(position)?.stored;
            Some([stored.command_id, stored.event_id])
        };
        let ids: Vec<Uuid> = positions.iter().filter_map(of).flatten().collect();
        let mut snapshot = self.reading.snapshot().await?;
        self.causes.extend(lookup::causes(&ids, &mut *snapshot).await?);
        Ok(())
    }

    /// The nodes that a node came of.
    fn before(&self, node: Node) -> Successors {
        let Some(facts) = self.facts(node) else { return Successors::default() };
        let mut nodes = used_and_previous(node, &facts.version, &facts.uses);
        nodes.extend(facts.cause.as_ref().filter(|_| node.is_command()).map(|cause| match cause {
            Cause::Command { first, .. } => (Node::command(*first), 1),
            Cause::Event { position, .. } => (Node::version(*position), 1),
        }));
        Successors { nodes, cut: false }
    }

    /// The nodes that came of a node.
    async fn after(&mut self, node: Node, depth: u8) -> Result<Successors, ProvenanceError> {
        // The last ones are read only to say whether something is deeper.
        if self.deeper && self.is_last(node, depth) {
            return Ok(Successors::default());
        }
        let Successors { mut nodes, .. } = match self.successors.remove(&node) {
            Some(successors) => successors,
            None => {
                let mut snapshot = self.reading.snapshot().await?;
                self.read_successors(vec![node], &mut *snapshot).await?;
                self.successors.remove(&node).unwrap_or_default()
            }
        };
        let Some(facts) = self.facts(node) else { return Ok(Successors::default()) };
        let caused = match node.is_command() {
            true => facts.stored.command_id,
            false => facts.stored.event_id,
        };
        nodes.extend(self.next_version(node, &facts.version));
        if let Some(cause) = self.causes.get(&caused) {
            let mut snapshot = self.reading.snapshot().await?;
            let limit = MAX_FANOUT + 1;
            let all = lookup::uses_of(&USES, *cause, node.position(), self.bounds, limit, &mut *snapshot).await?;
            nodes.extend(all.into_iter().map(|(position, _)| (Node::command(position), 1)));
        }
        nodes.sort_unstable();
        nodes.dedup();
        let cut = nodes.len() > MAX_FANOUT;
        nodes.truncate(MAX_FANOUT);
        Ok(Successors { nodes, cut })
    }

    /// Whether all that comes of this node is deeper than the walk goes.
    fn is_last(&self, node: Node, depth: u8) -> bool {
        !node.is_command() && depth >= self.depth
    }

    /// The version after the one that a node made.
    fn next_version(&self, node: Node, version: &VersionRow) -> Option<(Node, u8)> {
        // The thing's own events are looked up with it.
        let is_other = !node.is_command() && version.makes && version.thing != self.thing;
        let next = version.next.filter(|next| is_other && *next <= self.bounds.position)?;
        Some((Node::version(next), 1))
    }
}

/// The node that used something.
fn used_by(position: u64, role: Role) -> Node {
    if role.is_of_command() { Node::command(position) } else { Node::version(position) }
}

/// The nodes that a node came of, by the tables.
fn used_and_previous(node: Node, version: &VersionRow, uses: &[UsedRow]) -> Vec<(Node, u8)> {
    let of_this = uses.iter().filter(|used| used.role.is_of_command() == node.is_command());
    let mut nodes: Vec<_> = of_this.filter_map(|used| Some((Node::version(used.version?), 1))).collect();
    if !node.is_command() {
        nodes.push((Node::command(version.first), 0));
        nodes.extend(version.previous.map(|previous| (Node::version(previous), 1)));
    }
    nodes
}
