//! [`AuditLog`]: the tables of the audit log.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::events::{DecodeError, Stored, Types};
use crate::projections::{EventBatch, Projection, ProjectionError, fingerprint};
use crate::store::{Cell, Dialect, Row, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 1;

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

    fn take_in(&self, stored: &Stored, rows: &mut Rows) -> Result<(), DecodeError> {
        let known = self.types.of(stored)?;
        let described = known.describe(stored)?;
        let topics = known.topics(stored, &described);
        let metadata = stored.metadata()?;
        rows.entries.push(vec![
            stored.position.into(),
            metadata.actor.as_str().into(),
            known.declaration.action.as_str().into(),
            known.declaration.event_type.into(),
            stored.aggregate.as_str().into(),
            metadata.correlation.map_or(Cell::Null, Cell::from),
        ]);
        let targets = described.targets.iter().map(|target| (target.as_str().to_owned(), stored.position));
        rows.targets.extend(targets);
        let topics: BTreeSet<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
        let below_root = topics.into_iter().filter(|topic| !topic.is_empty());
        rows.topics.extend(below_root.map(|topic| (topic.to_owned(), stored.position)));
        Ok(())
    }
}

#[derive(Default)]
struct Rows {
    entries: Vec<Row>,
    targets: Vec<(String, u64)>,
    topics: Vec<(String, u64)>,
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
        let mut rows = Rows::default();
        for stored in batch.events {
            self.take_in(stored, &mut rows)
                .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
        }
        let insert = format!("INSERT INTO {} VALUES ($1, $2, $3, $4, $5, $6)", transaction.table("entries"));
        transaction.execute_many(&insert, rows.entries).await?;
        for (table, mut places) in [("targets", rows.targets), ("topics", rows.topics)] {
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
    let (integer, text, end, tail) = match transaction.dialect() {
        // The key of a table is the end of each of its indexes anyway.
        Dialect::Sqlite => ("INTEGER", "TEXT", "WITHOUT ROWID", ""),
        Dialect::Postgres => ("BIGINT", "TEXT COLLATE \"C\"", "", ", position"),
    };
    let entries = transaction.table("entries");
    let index = |column: &str, only: &str| {
        let name = transaction.index(&format!("entries_{column}"));
        format!("CREATE INDEX {name} ON {entries} ({column}{tail}){only}")
    };
    let places = |table: &str, column: &str| {
        let table = transaction.table(table);
        format!(
            "CREATE TABLE {table} ({column} {text} NOT NULL, position {integer} NOT NULL, \
             PRIMARY KEY ({column}, position)) {end}"
        )
    };
    vec![
        format!(
            "CREATE TABLE {entries} (position {integer} PRIMARY KEY, actor {text} NOT NULL, action {text} NOT NULL, \
             event_type {text} NOT NULL, aggregate {text} NOT NULL, correlation {text})"
        ),
        index("actor", ""),
        index("action", ""),
        index("event_type", ""),
        index("correlation", " WHERE correlation IS NOT NULL"),
        places("targets", "target"),
        places("topics", "topic"),
    ]
}
