//! [`SequenceCache`]: the last sequences of aggregates, as the writer knows them.

use std::collections::HashMap;

use super::{Batch, StoreError};
use crate::events::{LogPosition, Ref};

/// The most aggregates in the cache.
const MOST: usize = 16_384;

/// The last event that a writer appended, and the last sequences of the aggregates to which it appended. While that
/// event is the head of the log, no other writer has appended, and the sequences are valid.
#[derive(Debug, Default)]
pub(crate) struct SequenceCache {
    head: LogPosition,
    sequences: HashMap<Ref, u64>,
}

impl SequenceCache {
    /// The last event that this writer appended. It must still be in the log.
    pub(crate) fn head(&self) -> LogPosition {
        self.head
    }

    /// Returns whether this is the aggregate's last sequence, provided that [`head`](Self::head) is the log's head.
    pub(crate) fn matches(&self, aggregate: &Ref, sequence: u64) -> bool {
        self.sequences.get(aggregate) == Some(&sequence)
    }

    /// Records an append after `base`: the sequences of a complete batch, otherwise only the new head.
    pub(crate) fn record(&mut self, base: LogPosition, batch: &Batch, head: Option<LogPosition>, complete: bool) {
        match head {
            Some(head) if complete => self.append(base, batch, head),
            Some(head) => self.forget(head),
            None => {}
        }
    }

    /// Drops everything after [`StoreError::Diverged`]: the error is returned once, and the next batch is appended to the
    /// present log.
    pub(crate) fn after_error(&mut self, error: &StoreError) {
        if matches!(error, StoreError::Diverged(_)) {
            self.forget(LogPosition::default());
        }
    }

    fn append(&mut self, base: LogPosition, batch: &Batch, head: LogPosition) {
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

    /// Drops all sequences; the last appended event is `head`.
    pub(crate) fn forget(&mut self, head: LogPosition) {
        self.head = head;
        self.sequences.clear();
    }
}
