//! [`Batch`]: events to be written to the audit log's tables; [`AuditFold`]: the fold that fills empty tables in large
//! batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::tables::{ENTRIES, NAMES, PLACES};
use crate::events::{DecodeError, Stored, Types};
use crate::projections::dictionary::{BatchNames, Key, NumberCache, Numbering};
use crate::projections::{Fold, KeyFilter, ProjectionError};
use crate::store::{Cell, OnConflict, StoreError, Transaction};

/// The approximate memory of an event until it is written.
const EVENT_BYTES: usize = 600;

/// One event, with the places of its names in the batch.
struct Entry {
    position: u64,
    occurred: i64,
    actor: usize,
    action: usize,
    event_type: usize,
    aggregate: usize,
    correlation: Option<usize>,
}

/// Events to be written to the tables.
#[derive(Default)]
pub(super) struct Batch {
    names: BatchNames,
    entries: Vec<Entry>,
    targets: Vec<(usize, u64)>,
    topics: Vec<(usize, u64)>,
}

impl Batch {
    /// Adds an event.
    pub(super) fn add(&mut self, types: &Types, stored: &Stored) -> Result<(), ProjectionError> {
        let decoded = self.decode(types, stored);
        decoded.map_err(|source| ProjectionError::Decode { position: stored.position, source })
    }

    fn decode(&mut self, types: &Types, stored: &Stored) -> Result<(), DecodeError> {
        let known = types.of(stored)?;
        let described = known.describe(stored)?;
        let topics = known.topics(stored, &described);
        let metadata = stored.metadata()?;
        let names = &mut self.names;
        self.entries.push(Entry {
            position: stored.position,
            occurred: stored.occurred_at.as_microsecond(),
            actor: names.place(metadata.actor.as_str()),
            action: names.place(known.declaration.action.as_str()),
            event_type: names.place(known.declaration.event_type),
            aggregate: names.place(stored.aggregate.as_str()),
            correlation: metadata.correlation.as_deref().map(|correlation| names.place(correlation)),
        });
        let targets = described.targets.iter().map(|target| (names.place(target.as_str()), stored.position));
        self.targets.extend(targets);
        let topics: BTreeSet<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
        let below_root = topics.into_iter().filter(|topic| !topic.is_empty());
        self.topics.extend(below_root.map(|topic| (names.place(topic), stored.position)));
        Ok(())
    }

    /// Writes all events.
    pub(super) async fn write(
        self,
        cache: &mut NumberCache,
        transaction: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let Self { names, entries, targets, topics } = self;
        let row = |_: &str, key: &Key, id: i64, _: &NumberCache| vec![id.into(), Cell::Bytes(key.to_vec())];
        let numbers = names.numbers(Numbering { table: &NAMES, kind: None, row: &row }, cache, transaction).await?;
        let number = |place: usize| Cell::Integer(numbers[place]);
        let entries = entries.into_iter().map(|entry| {
            vec![
                entry.position.into(),
                entry.occurred.into(),
                number(entry.actor),
                number(entry.action),
                number(entry.event_type),
                number(entry.aggregate),
                entry.correlation.map_or(Cell::Null, number),
            ]
        });
        transaction.insert_rows(&ENTRIES, entries.collect(), OnConflict::Fail).await?;
        for (table, places) in PLACES.iter().zip([targets, topics]) {
            let mut places: Vec<(i64, u64)> =
                places.into_iter().map(|(place, position)| (numbers[place], position)).collect();
            // Sorted by key, so that a batch touches each page of the index once.
            places.sort_unstable();
            let rows = places.into_iter().map(|(name, position)| vec![name.into(), position.into()]).collect();
            transaction.insert_rows(table, rows, OnConflict::Fail).await?;
        }
        Ok(())
    }
}

/// Fills empty tables.
pub(super) struct AuditFold {
    types: Arc<Types>,
    cache: NumberCache,
    batch: Batch,
    position: u64,
}

impl AuditFold {
    pub(super) fn new(types: Arc<Types>) -> Self {
        Self { types, cache: NumberCache::of_empty_table(), batch: Batch::default(), position: 0 }
    }
}

#[async_trait]
impl Fold for AuditFold {
    fn gather(&mut self, events: &[Stored], _: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            self.position = stored.position;
            self.batch.add(&self.types, stored)?;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&self) -> usize {
        self.batch.entries.len() * EVENT_BYTES
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(std::mem::take(&mut self.batch).write(&mut self.cache, transaction).await?)
    }
}
