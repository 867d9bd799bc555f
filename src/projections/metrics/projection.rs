//! [`Metrics`]: the tables behind the metrics.

use std::sync::Arc;

use async_trait::async_trait;

use super::block_closing::take_in;
use super::folding::Folding;
use super::names::{self, Gathered, Known};
use crate::events::Types;
use crate::projections::{Basis, EventBatch, Fold, FoldBase, Projection, ProjectionError, fingerprint};
use crate::store::{Dialect, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 5;

/// The projection behind the metrics. It keeps, of each event, one entry: when, what, who, to what, of which topics, in
/// numbers that stand for names. For each block of 4,096 events, and each topic in it, it keeps the topic's running
/// numbers at the block's end, and who was busy in the block; the latter again for larger blocks.
///
/// How many events lie in a range is then the difference of the numbers at its ends: those of the last block before
/// each, and of at most 4,095 entries, which are kept as a few bytes each. So it is exact at any bound, and as quick for a
/// year as for a minute.
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

    fn basis(&self) -> Option<Basis> {
        Some(Basis::of_all(LAYOUT, &self.types, false))
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        (base == FoldBase::Empty).then(|| Box::new(Folding::new(self.types.clone())) as Box<dyn Fold>)
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        for table in tables(transaction) {
            transaction.execute(&table, Vec::new()).await?;
        }
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut gathered = Gathered::default();
        batch.events.iter().try_for_each(|stored| gathered.gather(&self.types, stored))?;
        let entries = gathered.numbered(&mut Known::default(), transaction).await?;
        take_in(batch.to.position, entries, transaction).await
    }
}

fn tables(transaction: &dyn Transaction) -> Vec<String> {
    let (integer, bytes, end) = match transaction.dialect() {
        Dialect::Sqlite => ("INTEGER", "BLOB", "WITHOUT ROWID"),
        Dialect::Postgres => ("BIGINT", "BYTEA", ""),
    };
    let table = |name: &str| transaction.table(name);
    let mut tables = vec![
        format!(
            "CREATE TABLE {} (kind {integer} NOT NULL, id {integer} NOT NULL, digest {bytes} NOT NULL UNIQUE, \
             name TEXT NOT NULL, above {integer}, PRIMARY KEY (kind, id)) {end}",
            table(names::TABLE)
        ),
        format!(
            "CREATE INDEX {} ON {} (above, id) WHERE above IS NOT NULL",
            transaction.index("names_by_topic"),
            table(names::TABLE)
        ),
        // Of the block that is not complete yet.
        format!("CREATE TABLE {} (position {integer} PRIMARY KEY, entry {bytes} NOT NULL)", table("entries")),
        format!(
            "CREATE TABLE {} (block {integer} PRIMARY KEY, last_at {integer} NOT NULL, entries {bytes} NOT NULL)",
            table("blocks")
        ),
        format!("CREATE INDEX {} ON {} (last_at, block)", transaction.index("blocks_by_time"), table("blocks")),
        format!(
            "CREATE TABLE {} (topic {integer} NOT NULL, block {integer} NOT NULL, numbers {bytes} NOT NULL, \
             PRIMARY KEY (topic, block)) {end}",
            table("running")
        ),
        format!(
            "CREATE TABLE {} (topic {integer} NOT NULL, level {integer} NOT NULL, block {integer} NOT NULL, \
             actors {bytes} NOT NULL, targets {bytes} NOT NULL, PRIMARY KEY (topic, level, block)) {end}",
            table("crowds")
        ),
        format!("CREATE INDEX {} ON {} (level, block)", transaction.index("crowds_by_block"), table("crowds")),
    ];
    if transaction.dialect() == Dialect::Postgres {
        // They are short already: to try to compress them takes longer than to write them.
        for (name, columns) in
            [("blocks", &["entries"][..]), ("running", &["numbers"]), ("crowds", &["actors", "targets"])]
        {
            let alter = |column: &&str| format!("ALTER COLUMN {column} SET STORAGE EXTERNAL");
            let alter: Vec<String> = columns.iter().map(alter).collect();
            tables.push(format!("ALTER TABLE {} {}", table(name), alter.join(", ")));
        }
    }
    tables
}
