//! How the database finds the rows: by an index, however long the log is.

use async_trait::async_trait;

use super::*;
use crate::events::LogPosition;
use crate::projections::metrics::{block_closing, names};
use crate::store::{Dialect, Row, StoreError};

/// A snapshot that keeps the statements it runs.
struct Recorded<'a> {
    snapshot: &'a mut dyn ViewSnapshot,
    statements: Vec<(String, Row)>,
}

#[async_trait]
impl ViewSnapshot for Recorded<'_> {
    fn dialect(&self) -> Dialect {
        self.snapshot.dialect()
    }

    fn head(&self) -> LogPosition {
        self.snapshot.head()
    }

    fn table(&self, table: &str) -> String {
        self.snapshot.table(table)
    }

    async fn has_table(&mut self, table: &str) -> Result<bool, StoreError> {
        self.snapshot.has_table(table).await
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        self.statements.push((sql.to_owned(), parameters.clone()));
        self.snapshot.query(sql, parameters).await
    }
}

/// A missing index, or one by other columns, would make each read and each closed block slower as the log grows.
#[tokio::test]
async fn metrics_are_read_and_blocks_closed_by_searches_in_an_index() {
    let world = World::new().await;
    world.append((0..600).map(any_act).collect()).await;
    let mut snapshot = world.settled("metrics").await.snapshot().await.unwrap();
    let mut recorded = Recorded { snapshot: &mut *snapshot, statements: Vec::new() };
    let time = |second| RangeBound::Time(Timestamp::from_second(second).unwrap());
    world.metric().from(time(1)).until(time(2)).read_in(&mut recorded).await.unwrap();
    for topic in ["", "bell"] {
        names::child_topics(&topic.parse().unwrap(), 10, &mut recorded).await.unwrap();
    }
    let mut statements = recorded.statements;
    for table in ["blocks", "names"] {
        let table = snapshot.table(table);
        assert!(statements.iter().any(|(sql, _)| sql.contains(&table)), "{table}: {statements:#?}");
    }
    let blocks = [1_u64, 0, 16].map(Cell::from).to_vec();
    statements.push((block_closing::below(&snapshot.table("crowds")), blocks));
    for (sql, parameters) in statements {
        let steps = snapshot.query(&format!("EXPLAIN QUERY PLAN {sql}"), parameters).await.unwrap();
        let plan: Vec<&str> = steps.iter().filter_map(|step| step.last().and_then(Cell::text)).collect();
        // The given values are the only rows that may be scanned.
        let scans = |step: &&str| step.starts_with("SCAN") && *step != "SCAN w" && !step.contains("CONSTANT ROW");
        assert!(!plan.iter().any(|step| scans(step) || step.contains("TEMP B-TREE")), "{sql}: {plan:#?}");
        if sql.contains(&snapshot.table("crowds")) {
            assert!(plan.iter().all(|step| step.contains("(level=? AND block>? AND block<?)")), "{plan:#?}");
        }
    }
    drop(snapshot);
    world.close().await;
}
