//! [`AuditLog`]: the tables of the audit log.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::names::Names;
use super::tables::{self, PLACES};
use crate::events::{DecodeError, Stored, Types};
use crate::projections::{EventBatch, Projection, ProjectionError, fingerprint};
use crate::store::{Cell, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 3;

/// The projection behind the audit log: which events are whose, about what, of which topic.
///
/// An event is under each of its topics and under all that lie above them; the root holds all events, and is the
/// table of entries itself.
#[derive(Clone, Debug)]
pub struct AuditLog {
    types: Arc<Types>,
    version: u64,
}

impl AuditLog {
    /// Its name among the projections.
    pub const NAME: &'static str = "audit";

    /// The audit log of an application with these event types. Its version is a fingerprint of their declarations.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        let version = fingerprint(LAYOUT, &types);
        Self { types, version }
    }

    fn take_in(&self, stored: &Stored, batch: &mut Batch) -> Result<(), DecodeError> {
        let known = self.types.of(stored)?;
        let described = known.describe(stored)?;
        let topics = known.topics(stored, &described);
        let metadata = stored.metadata()?;
        let names = &mut batch.names;
        batch.entries.push(Entry {
            position: stored.position,
            occurred: stored.occurred_at.as_microsecond(),
            actor: names.place(metadata.actor.as_str()),
            action: names.place(known.declaration.action.as_str()),
            event_type: names.place(known.declaration.event_type),
            aggregate: names.place(stored.aggregate.as_str()),
            correlation: metadata.correlation.as_deref().map(|correlation| names.place(correlation)),
        });
        let targets = described.targets.iter().map(|target| (names.place(target.as_str()), stored.position));
        batch.targets.extend(targets);
        let topics: BTreeSet<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
        let below_root = topics.into_iter().filter(|topic| !topic.is_empty());
        batch.topics.extend(below_root.map(|topic| (names.place(topic), stored.position)));
        Ok(())
    }
}

/// One event, its names by their places in the batch.
struct Entry {
    position: u64,
    occurred: i64,
    actor: usize,
    action: usize,
    event_type: usize,
    aggregate: usize,
    correlation: Option<usize>,
}

#[derive(Default)]
struct Batch {
    names: Names,
    entries: Vec<Entry>,
    targets: Vec<(usize, u64)>,
    topics: Vec<(usize, u64)>,
}

#[async_trait]
impl Projection for AuditLog {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(tables::make(transaction).await?)
    }

    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(tables::index(transaction).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut taken = Batch::default();
        for stored in batch.events {
            self.take_in(stored, &mut taken)
                .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
        }
        let Batch { names, entries, targets, topics } = taken;
        let numbers = names.numbers(transaction).await?;
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
        let insert = format!("INSERT INTO {} VALUES ($1, $2, $3, $4, $5, $6, $7)", transaction.table("entries"));
        transaction.execute_many(&insert, entries.collect()).await?;
        let filling = tables::are_filling(transaction).await?;
        for ((table, _), places) in PLACES.into_iter().zip([targets, topics]) {
            let mut places: Vec<(i64, u64)> =
                places.into_iter().map(|(place, position)| (numbers[place], position)).collect();
            // In the order of the keys, a batch is written once through.
            places.sort_unstable();
            let rows = places.into_iter().map(|(name, position)| vec![name.into(), position.into()]).collect();
            let table = if filling { transaction.table(&tables::heap(table)) } else { transaction.table(table) };
            transaction.execute_many(&format!("INSERT INTO {table} VALUES ($1, $2)"), rows).await?;
        }
        Ok(())
    }
}
