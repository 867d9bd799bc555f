//! [`Metrics`]: the tables behind the metrics.

use std::sync::Arc;

use async_trait::async_trait;

use super::completing::complete;
use super::entry::{COLUMNS, Entry};
use crate::events::Types;
use crate::projections::{EventBatch, Projection, ProjectionError, fingerprint};
use crate::store::{Dialect, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 3;

/// The projection behind the metrics. It keeps, of each event, one entry: when, what, who, to what, of which topics.
/// For each block of 256 events, and each topic in it, it keeps the topic's running numbers at the block's end, and who
/// was busy in the block; the latter again for larger blocks.
///
/// How many events lie in a range is then the difference of the numbers at its ends: those of the last block before
/// each, and of at most 255 entries. So it is exact at any bound, and as quick for a year as for a minute.
#[derive(Clone, Debug)]
pub struct Metrics {
    types: Arc<Types>,
    version: u64,
}

impl Metrics {
    /// Its name among the projections.
    pub const NAME: &'static str = "metrics";

    /// The metrics of an application with these event types. Their version is a fingerprint of their declarations.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        let version = fingerprint(LAYOUT, &types);
        Self { types, version }
    }
}

#[async_trait]
impl Projection for Metrics {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let (integer, text, end) = match transaction.dialect() {
            Dialect::Sqlite => ("INTEGER", "TEXT", "WITHOUT ROWID"),
            Dialect::Postgres => ("BIGINT", "TEXT COLLATE \"C\"", ""),
        };
        let crowds = transaction.table("crowds");
        let tables = [
            format!(
                "CREATE TABLE {} (position {integer} PRIMARY KEY, recorded_at {integer} NOT NULL, event_type TEXT NOT NULL, \
                 actor TEXT NOT NULL, targets TEXT NOT NULL, topics TEXT NOT NULL)",
                transaction.table("entries")
            ),
            format!(
                "CREATE TABLE {} (topic {text} NOT NULL, block {integer} NOT NULL, numbers TEXT NOT NULL, \
                 PRIMARY KEY (topic, block)) {end}",
                transaction.table("running")
            ),
            format!(
                "CREATE TABLE {crowds} (topic {text} NOT NULL, level {integer} NOT NULL, block {integer} NOT NULL, \
                 actors TEXT NOT NULL, targets TEXT NOT NULL, PRIMARY KEY (topic, level, block)) {end}"
            ),
            format!("CREATE INDEX {} ON {crowds} (level, block)", transaction.index("crowds_by_block")),
        ];
        for table in tables {
            transaction.execute(&table, Vec::new()).await?;
        }
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut entries = Vec::with_capacity(batch.events.len());
        for stored in batch.events {
            let entry = Entry::of(&self.types, stored);
            entries.push(entry.map_err(|source| ProjectionError::Decode { position: stored.position, source })?);
        }
        let insert =
            format!("INSERT INTO {} ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)", transaction.table("entries"));
        transaction.execute_many(&insert, entries.iter().map(Entry::row).collect()).await?;
        complete(batch.from.position, entries, transaction).await
    }
}
