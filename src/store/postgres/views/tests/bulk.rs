//! Many rows in one statement have the effect that they have one by one.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::store::{Cell, Column, OnConflict, Table};

const fn table(name: &'static str) -> Table {
    const COLUMNS: &[Column] = &[Column::text("a"), Column::integer("b"), Column::text("c").nullable()];
    Table::new(name, COLUMNS, &["a", "b"])
}

const MANY: Table = table("many");
const SINGLE: Table = table("single");

fn text() -> impl Strategy<Value = Cell> {
    select(&["a", "A", "b", "", "é'\"", "c", "a\0", "a\u{1}"][..]).prop_map(Cell::from)
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let note = prop_oneof![text(), Just(Cell::Null)];
    vec((text(), -2_i64..4, note).prop_map(|(a, b, c)| vec![a, b.into(), c]), 0..most)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<Row>, OnConflict),
    Delete(Vec<Row>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (rows(12), select(&[OnConflict::Keep, OnConflict::Replace][..]))
            .prop_map(|(rows, conflict)| Step::Insert(rows, conflict)),
        rows(6).prop_map(|rows| Step::Delete(rows.into_iter().map(|row| row[..2].to_vec()).collect())),
    ]
}

async fn contents(transaction: &mut dyn Transaction, table: &Table) -> Vec<Row> {
    let sql = format!("SELECT a, b, c FROM {} ORDER BY a, b, c", transaction.table(table.name));
    transaction.query(&sql, vec![]).await.unwrap()
}

/// However often a key comes.
#[test]
fn many_rows_have_the_effect_that_they_have_one_by_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _within = runtime.enter();
    let schema = runtime.block_on(Schema::new());
    let views = schema.views();
    let transaction = runtime.block_on(async {
        let mut transaction = open(&views).await;
        transaction.create_table(&MANY).await.unwrap();
        transaction.create_table(&SINGLE).await.unwrap();
        transaction
    });
    let transaction = tokio::sync::Mutex::new(transaction);
    let config = ProptestConfig::with_cases(60);
    proptest!(config, |(steps in vec(step(), 1..6), asked in rows(8))| runtime.block_on(async {
        let mut transaction = transaction.lock().await;
        for table in [&MANY, &SINGLE] {
            let clear = format!("DELETE FROM {}", transaction.table(table.name));
            transaction.execute(&clear, vec![]).await.unwrap();
        }
        for step in steps {
            match step.clone() {
                Step::Insert(rows, conflict) => {
                    for row in &rows {
                        transaction.insert_rows(&SINGLE, vec![row.clone()], conflict).await.unwrap();
                    }
                    transaction.insert_rows(&MANY, rows, conflict).await.unwrap();
                }
                Step::Delete(keys) => {
                    for key in &keys {
                        transaction.delete_keys(&SINGLE, vec![key.clone()]).await.unwrap();
                    }
                    transaction.delete_keys(&MANY, keys).await.unwrap();
                }
            }
            let expected = contents(&mut **transaction, &SINGLE).await;
            prop_assert_eq!(contents(&mut **transaction, &MANY).await, expected, "{:?}", step);
        }
        for by in [&["a", "b"][..], &["a"]] {
            let keys: Vec<Row> = asked.iter().map(|row| row[..by.len()].to_vec()).collect();
            let mut expected = Vec::new();
            for key in &keys {
                expected.extend(transaction.select_by_keys(&MANY, by, &["c", "b"], vec![key.clone()]).await.unwrap());
            }
            let found = transaction.select_by_keys(&MANY, by, &["c", "b"], keys).await.unwrap();
            prop_assert_eq!(found, expected, "{:?}", by);
        }
        Ok(())
    })?);
    runtime.block_on(async move { drop(transaction) });
}

/// More rows and more bytes than one statement sends.
#[tokio::test]
async fn rows_beyond_one_statement_are_all_written_and_found() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    transaction.create_table(&MANY).await.unwrap();
    let long = "x".repeat(1 << 20);
    let text = |n: i64| if n < 9 { Cell::from(long.as_str()) } else { Cell::Null };
    let rows: Vec<Row> = (0..25_000).map(|n| vec!["k".into(), n.into(), text(n)]).collect();
    let keys: Vec<Row> = rows.iter().map(|row| row[..2].to_vec()).collect();
    transaction.insert_rows(&MANY, rows, OnConflict::Replace).await.unwrap();
    let found = transaction.select_by_keys(&MANY, &["a", "b"], &["b"], keys.clone()).await.unwrap();
    assert!(found.iter().zip(0..).all(|(row, n)| *row == Some(vec![Cell::Integer(n)])));
    transaction.delete_keys(&MANY, keys).await.unwrap();
    assert_eq!(contents(&mut *transaction, &MANY).await, Vec::<Row>::new());
}

#[tokio::test]
async fn a_value_of_another_type_is_refused_with_its_column_and_the_transaction_stays_sound() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    transaction.create_table(&MANY).await.unwrap();
    for (row, words) in [
        (vec!["a".into(), "b".into(), Cell::Null], "column `b`: it takes no text"),
        (vec![Cell::Integer(1), Cell::Integer(1), Cell::Null], "column `a`: it takes no whole number"),
        (vec!["a".into(), Cell::Integer(1)], "it takes 3 values a row, a row has 2"),
    ] {
        let error = transaction.insert_rows(&MANY, vec![row], OnConflict::Replace).await.unwrap_err();
        assert!(format!("{error:?}").contains(words), "{words}: {error:?}");
    }
    let error = transaction.select_by_keys(&MANY, &["d"], &["a"], vec![vec!["x".into()]]).await.unwrap_err();
    assert!(format!("{error:?}").contains("no column `d`"), "{error:?}");
    transaction
        .insert_rows(&MANY, vec![vec!["a".into(), 1_i64.into(), Cell::Null]], OnConflict::Fail)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}
