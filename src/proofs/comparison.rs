//! [`TreeComparison`]: compares the log, while it is checked, with checkpoints and with the stored tree.

use super::edge::Edge;
use super::{Checkpoint, Leaf, TreeHash};
use crate::events::Stored;
use crate::store::{Finding, FindingKind, LogObserver};

/// A size and a root that the log must have.
struct Expected {
    size: u64,
    root: TreeHash,
    /// Where they come from: `the checkpoint of example.org/log in last.checkpoint`.
    source: String,
}

/// Makes the tree of the log while it is read, and compares it.
#[derive(Default)]
pub(crate) struct TreeComparison {
    edge: Edge,
    expected: Vec<Expected>,
    /// Whether an event could not be read, or is missing: nothing after it can be compared.
    broken: bool,
}

impl TreeComparison {
    /// Compares with a checkpoint. `found`: where it was.
    pub fn with_checkpoint(&mut self, checkpoint: &Checkpoint, found: &str) {
        let source = format!("the checkpoint of {} in {found}", checkpoint.origin);
        self.expected.push(Expected { size: checkpoint.size, root: checkpoint.root, source });
    }

    /// Compares with the stored tree.
    pub fn with_tree(&mut self, size: u64, root: TreeHash) {
        self.expected.push(Expected { size, root, source: "the stored tree (projection `proofs`)".to_owned() });
    }

    /// Compares with what is expected at the present size.
    fn compare(&mut self) -> Vec<Finding> {
        let size = self.edge.size();
        let here: Vec<Expected> = self.expected.extract_if(.., |expected| expected.size == size).collect();
        if here.is_empty() {
            return Vec::new();
        }
        let root = self.edge.root();
        let finding = |expected: &Expected| {
            let Expected { root, source, .. } = expected;
            let problem = format!(
                "the events up to here are not those of {source}, whose tree has the root {root}: an event was changed, added or \
                 left out, or it is a checkpoint of another log"
            );
            Finding { position: Some(size), ..Finding::new(FindingKind::Log, problem) }
        };
        here.iter().filter(|expected| expected.root != root).map(finding).collect()
    }
}

impl LogObserver for TreeComparison {
    fn begin(&mut self) -> Vec<Finding> {
        self.compare()
    }

    fn event(&mut self, stored: &Stored) -> Vec<Finding> {
        if self.broken || self.expected.is_empty() {
            return Vec::new();
        }
        let leaf = match Leaf::of(stored).hash() {
            Ok(leaf) if stored.position == self.edge.size() + 1 => leaf,
            _ => {
                self.broken = true;
                return Vec::new();
            }
        };
        self.edge.append(leaf, |_, _| {});
        self.compare()
    }

    fn unreadable(&mut self) {
        self.broken = true;
    }

    fn end(&mut self) -> Vec<Finding> {
        let (size, broken) = (self.edge.size(), self.broken);
        let finding = |expected: Expected| {
            let Expected { size: wanted, source, .. } = expected;
            let problem = match broken {
                true => format!(
                    "the log cannot be compared with {source}: an event before {wanted} is missing or cannot be read"
                ),
                false => format!(
                    "the log has {size} events, {source} has {wanted}: its tail was cut, an older backup was restored, or it is a \
                     checkpoint of another log"
                ),
            };
            Finding::new(FindingKind::Log, problem)
        };
        self.expected.drain(..).map(finding).collect()
    }
}
