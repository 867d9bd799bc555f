//! [`AuditLog`]: the tables of the audit log.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::names::{self, Names};
use crate::events::{DecodeError, Stored, Types};
use crate::projections::{EventBatch, Projection, ProjectionError, fingerprint};
use crate::store::{Cell, Dialect, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 2;

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
        for statement in tables(transaction) {
            transaction.execute(&statement, Vec::new()).await?;
        }
        Ok(())
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
        for (table, places) in [("targets", targets), ("topics", topics)] {
            let mut places: Vec<(i64, u64)> =
                places.into_iter().map(|(place, position)| (numbers[place], position)).collect();
            // In the order of the keys, a large batch of a rebuild is written once through.
            places.sort_unstable();
            let rows = places.into_iter().map(|(name, position)| vec![name.into(), position.into()]).collect();
            let insert = format!("INSERT INTO {} VALUES ($1, $2)", transaction.table(table));
            transaction.execute_many(&insert, rows).await?;
        }
        Ok(())
    }
}

fn tables(transaction: &dyn Transaction) -> Vec<String> {
    let (integer, bytes, end, tail) = match transaction.dialect() {
        // The key of a table is the end of each of its indexes anyway.
        Dialect::Sqlite => ("INTEGER", "BLOB", "WITHOUT ROWID", ""),
        Dialect::Postgres => ("BIGINT", "BYTEA", "", ", position"),
    };
    let entries = transaction.table("entries");
    let index = |column: &str, only: &str| {
        let name = transaction.index(&format!("entries_{column}"));
        format!("CREATE INDEX {name} ON {entries} ({column}{tail}){only}")
    };
    let places = |table: &str, column: &str| {
        let table = transaction.table(table);
        format!(
            "CREATE TABLE {table} ({column} {integer} NOT NULL, position {integer} NOT NULL, \
             PRIMARY KEY ({column}, position)) {end}"
        )
    };
    vec![
        format!(
            "CREATE TABLE {} (id {integer} PRIMARY KEY, digest {bytes} NOT NULL UNIQUE)",
            transaction.table(names::TABLE)
        ),
        format!(
            "CREATE TABLE {entries} (position {integer} PRIMARY KEY, occurred {integer} NOT NULL, \
             actor {integer} NOT NULL, action {integer} NOT NULL, event_type {integer} NOT NULL, \
             aggregate {integer} NOT NULL, correlation {integer})"
        ),
        index("occurred", ""),
        index("actor", ""),
        index("action", ""),
        index("event_type", ""),
        index("correlation", " WHERE correlation IS NOT NULL"),
        places("targets", "target"),
        places("topics", "topic"),
    ]
}
