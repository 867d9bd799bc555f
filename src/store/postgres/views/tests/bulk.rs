//! Many rows in one statement do what they would do one by one.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::bulk::{execute_many, query_many};
use super::*;
use crate::store::Cell;

const STATEMENTS: &[&str] = &[
    "INSERT INTO {t} VALUES ($1, $2, $3) ON CONFLICT (a, b) DO NOTHING",
    "INSERT INTO {t} (a, b, c) VALUES ($1, $2, $3) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c",
    "INSERT INTO {t} AS o (c, b, a) VALUES ($3, $2, $1) ON CONFLICT (b, a) DO UPDATE SET c = o.c || excluded.c \
     WHERE o.c IS DISTINCT FROM excluded.c;",
    "insert into {t} (a, b, c) values ($1, $2 + 1, 'it''s $1 ' || coalesce($3, '(none)')) on conflict do nothing",
    "INSERT INTO {t} (a, b, c) VALUES ($1, $2, (SELECT count(*)::text || $3 FROM {t})) \
     ON CONFLICT (a, b) DO UPDATE SET c = excluded.c",
    "INSERT INTO {t} (a, b, c) VALUES (lower($1), $2, $3) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c || $3",
    "INSERT INTO {t} (a, b, c) VALUES (lower($1), $2, $3) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c",
    "DELETE FROM {t} WHERE a = $1 AND (b = $2 OR c = $3)",
    "DELETE FROM {t} -- all of it $1\n WHERE a < $1 AND b > $2 AND c LIKE $3",
    "UPDATE {t} SET c = coalesce(c, '') || $3 WHERE a = $1 AND b = $2",
];

const QUERIES: &[&str] = &[
    "SELECT c FROM {t} WHERE a = $1 AND b = $2 AND $3::text IS NOT NULL",
    "SELECT a, b, b AS b, c FROM {t} WHERE a >= $1 AND b <> $2 AND c <> $3 ORDER BY b DESC, a LIMIT 3",
    "SELECT count(*), max(b), $3::text FROM {t} WHERE a = $1 OR b < $2;",
    "SELECT max($2::bigint), count(*) FROM {t} WHERE a = $1 AND c = $3",
    "SELECT b FROM {t} WHERE a <> $1 AND c <> $3 ORDER BY b, a, c LIMIT $2 + 2",
    "WITH x AS (SELECT $1 AS a) SELECT x.a, $2::bigint, $3::text FROM x",
];

fn text() -> impl Strategy<Value = Cell> {
    select(&["a", "A", "b", "", "é'\"", "c"][..]).prop_map(Cell::from)
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let note = prop_oneof![text(), Just(Cell::Null)];
    vec((text(), -2_i64..4, note).prop_map(|(a, b, c)| vec![a, b.into(), c]), 0..most)
}

async fn contents(transaction: &mut dyn Transaction, table: &str) -> Vec<Row> {
    let sql = format!("SELECT a, b, c FROM {table} ORDER BY a, b, c");
    transaction.query(&sql, vec![]).await.unwrap()
}

/// Whatever the statement is and however often a row comes.
#[test]
fn many_rows_do_what_they_do_one_by_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _within = runtime.enter();
    let schema = runtime.block_on(Schema::new());
    let views = schema.views();
    let transaction = runtime.block_on(async {
        let mut transaction = open(&views).await;
        for table in ["many", "single"] {
            let table = transaction.table(table);
            let columns =
                "a TEXT COLLATE \"C\" NOT NULL, b BIGINT NOT NULL, c TEXT COLLATE \"C\", PRIMARY KEY (a, b)";
            transaction.execute(&format!("CREATE TABLE {table} ({columns})"), vec![]).await.unwrap();
        }
        transaction
    });
    let (many, single) = (transaction.table("many"), transaction.table("single"));
    let transaction = tokio::sync::Mutex::new(transaction);
    let steps = vec((select(STATEMENTS), rows(12)), 1..6);
    let config = ProptestConfig::with_cases(60);
    proptest!(config, |(steps in steps, query in select(QUERIES), asked in rows(8))| runtime.block_on(async {
        let mut transaction = transaction.lock().await;
        for table in [&many, &single] {
            transaction.execute(&format!("DELETE FROM {table}"), vec![]).await.unwrap();
        }
        for (statement, rows) in steps {
            transaction.execute_many(&statement.replace("{t}", &many), rows.clone()).await.unwrap();
            for row in rows {
                transaction.execute(&statement.replace("{t}", &single), row).await.unwrap();
            }
            let expected = contents(&mut **transaction, &single).await;
            prop_assert_eq!(contents(&mut **transaction, &many).await, expected, "{}", statement);
        }
        let query = query.replace("{t}", &single);
        let mut expected = Vec::new();
        for row in &asked {
            let mut found = transaction.query(&query, row.clone()).await.unwrap();
            if !query.contains("ORDER") {
                found.sort_by_key(|row| format!("{row:?}"));
            }
            expected.push(found);
        }
        let mut found = transaction.query_many(&query, asked).await.unwrap();
        if !query.contains("ORDER") {
            found.iter_mut().for_each(|rows| rows.sort_by_key(|row| format!("{row:?}")));
        }
        prop_assert_eq!(found, expected, "{}", query);
        Ok(())
    })?);
    runtime.block_on(async move { drop(transaction) });
}

/// The built-in projections are quick only as long as their statements are of the shape that takes many rows.
#[test]
fn what_the_projections_here_write_and_ask_takes_many_rows_at_once() {
    for (sql, parameters) in [
        (
            "INSERT INTO \"s\".\"t\" (key, body) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
            2,
        ),
        ("INSERT INTO \"s\".\"t\" VALUES ($1, $2, $3, $4)", 4),
        ("INSERT INTO \"s\".\"t\" VALUES ($1, $2) ON CONFLICT DO NOTHING", 2),
        ("DELETE FROM \"s\".\"t\" WHERE key = $1", 1),
    ] {
        assert!(execute_many(sql, parameters).is_some(), "{sql}");
    }
    for sql in [
        "SELECT body FROM \"s\".\"t\" WHERE key = $1",
        "SELECT ordinal FROM \"s\".\"t\" WHERE topic = $1 AND event_type = $2 ORDER BY position DESC LIMIT 1",
    ] {
        assert!(query_many(sql, 2).is_some(), "{sql}");
    }
    let upsert =
        execute_many("INSERT INTO t (b, a) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = 1", 2).unwrap();
    assert_eq!(upsert.unique, [1]);
}

/// What might look at other rows, or name a parameter where a row cannot be, is run row by row.
#[test]
fn what_may_mean_something_else_in_bulk_is_left_alone() {
    for sql in [
        "UPDATE t SET a = $1",
        "INSERT INTO t VALUES ($1), ($2)",
        "INSERT INTO t VALUES ($1) RETURNING a",
        "INSERT INTO t SELECT $1",
        "INSERT INTO t VALUES ((SELECT max(a) FROM t) + $1)",
        "INSERT INTO t VALUES (DEFAULT, $1)",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $1",
        "INSERT INTO t VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = 2",
        "INSERT INTO t (a) VALUES (lower($1)) ON CONFLICT (a) DO UPDATE SET b = 2",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (lower(a)) DO UPDATE SET b = 2",
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT ON CONSTRAINT c DO UPDATE SET b = 2",
        "DELETE FROM t WHERE a IN (SELECT $1)",
        "DELETE FROM t USING u WHERE t.a = $1",
        "DELETE FROM t WHERE a = $1 RETURNING a",
        "WITH x AS (SELECT 1) DELETE FROM t WHERE a = $1",
    ] {
        assert_eq!(execute_many(sql, 1), None, "{sql}");
    }
    assert_eq!(query_many("SELECT a FROM t WHERE b = $1 FOR UPDATE", 1), None);
    assert_eq!(query_many("INSERT INTO t VALUES ($1) RETURNING a", 1), None);
}
