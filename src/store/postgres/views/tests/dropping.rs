//! The tables of a generation are dropped once it has no readers, and not before.

use super::*;
use crate::store::{Cell, Column, Index, Table};

const DOCUMENTS: Table = Table::new("documents", &[Column::text("key")], &[]);

async fn set_up(views: &PostgresViews, generation_id: &GenerationId, key: &str) {
    let mut transaction = begin(views, generation_id, LogPosition::default(), head(1)).await;
    let (table, view) = (transaction.table("documents"), transaction.table("keys"));
    transaction.create_table(&DOCUMENTS).await.expect("a table");
    transaction.create_index(&DOCUMENTS, &Index::new("documents_key", &["key"])).await.expect("an index");
    for sql in
        [format!("CREATE VIEW {view} AS SELECT key FROM {table}"), format!("INSERT INTO {table} VALUES ('{key}')")]
    {
        transaction.execute(&sql, vec![]).await.expect("a statement");
    }
    transaction.commit().await.expect("a commit");
}

/// Lets the waiting time of dropped generations pass.
async fn age(schema: &Schema) {
    let sql = "UPDATE {schema}.projections SET doomed = doomed - interval '1 minute'";
    schema.run(&schema.location().sql(sql)).await;
}

/// Mission X3, Guarantee 22.
#[tokio::test]
async fn tables_of_the_old_generation_are_dropped_after_its_last_reader() {
    let schema = Schema::new().await;
    let views = schema.views();
    let (live, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &live, "old").await;
    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "new").await;
    // The reader has found its generation, and not yet used its tables.
    let mut reader = views.read("roster", 1).await.unwrap();
    assert!(views.switch(&shadow).await.unwrap());
    age(&schema).await;
    let owner = Uuid::from_u128(1);
    views.acquire_leases(owner, &[], Duration::from_secs(9)).await.unwrap();
    let sql = format!("SELECT key FROM {}", reader.table("documents"));
    assert_eq!(reader.query(&sql, vec![]).await.unwrap(), [vec![Cell::from("old")]]);
    drop(reader);
    let since = std::time::Instant::now();
    loop {
        views.acquire_leases(owner, &[], Duration::from_secs(9)).await.unwrap();
        let left = schema.relations("roster_v1_g1_").await;
        if left.is_empty() {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{left:?}");
    }
    assert_eq!(
        schema.relations("roster_v1_g2_").await,
        ["roster_v1_g2_documents", "roster_v1_g2_documents_key", "roster_v1_g2_keys"]
    );
}

#[tokio::test]
async fn a_discarded_generation_is_dropped_at_once_unless_a_transaction_writes_it() {
    let schema = Schema::new().await;
    let views = schema.views();
    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "new").await;
    views.discard(&shadow).await.unwrap();
    assert_eq!(schema.relations("roster_v1_g2_").await, Vec::<String>::new());

    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "new").await;
    let mut writer = begin(&views, &shadow, head(1), head(2)).await;
    let insert = format!("INSERT INTO {} VALUES ('more')", writer.table("documents"));
    writer.execute(&insert, vec![]).await.unwrap();
    let refused = views.discard(&shadow).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
    writer.commit().await.unwrap();
    views.discard(&shadow).await.unwrap();
    assert_eq!(schema.relations("roster_v1_g").await, Vec::<String>::new());
}
