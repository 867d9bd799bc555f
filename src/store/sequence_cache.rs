//! What a writer knows of the log without looking.

use std::collections::HashMap;

use super::Batch;
use crate::events::{LogPosition, Ref};

/// So many aggregates are kept in mind.
const MOST: usize = 16_384;

/// The last event that a writer appended, and the last sequences of the aggregates that it appended to before it, as
/// they were then. As long as that event is the end of the log, nobody else has written: they hold.
#[derive(Debug, Default)]
pub(crate) struct SequenceCache {
    head: LogPosition,
    sequences: HashMap<Ref, u64>,
}

impl SequenceCache {
    /// The last event that was appended here: it must still be in the log.
    pub(crate) fn head(&self) -> LogPosition {
        self.head
    }

    /// Whether the aggregate's last sequence is this, if the log ends with [`head`](Self::head).
    pub(crate) fn matches(&self, aggregate: &Ref, sequence: u64) -> bool {
        self.sequences.get(aggregate) == Some(&sequence)
    }

    /// A batch was appended whole, after `base`.
    pub(crate) fn append(&mut self, base: LogPosition, batch: &Batch, head: LogPosition) {
        if base != self.head || self.sequences.len() >= MOST {
            self.sequences.clear();
        }
        self.head = head;
        for stream in batch.commits().iter().flat_map(|commit| commit.streams()) {
            let sequence = stream.expected() + stream.events().len() as u64;
            match self.sequences.get_mut(stream.aggregate()) {
                Some(known) => *known = sequence,
                None => drop(self.sequences.insert(stream.aggregate().clone(), sequence)),
            }
        }
    }

    /// Nothing is known but where the log ended.
    pub(crate) fn forget(&mut self, head: LogPosition) {
        self.head = head;
        self.sequences.clear();
    }
}
