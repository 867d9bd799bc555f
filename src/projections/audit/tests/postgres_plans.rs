//! Query plans on Postgres: one index, and no more rows than a page needs; on tables that are large enough for other plans,
//! with statistics and without.

use annals_test_postgres::Fresh;
use serde_json::Value;

use super::super::filter::{
    ACTION, ACTOR, AGGREGATE, CORRELATION, Column, ColumnFilter, EVENT, ResolvedFilter, TARGET, TOPIC,
};
use super::super::sql::{Driver, RARE, Sql, Window};
use super::*;
use crate::store::{Cell, Row, ViewSnapshot};

const EVENTS: u64 = 150_000;
const PAGE: usize = 51;

/// Numbers of names: one is in nearly all rows, another rare, a third frequent, but only long ago. A planner that assumes
/// averages is wrong about all of them.
const COMMON: i64 = 1;
const RARELY: i64 = 2;
const NOBODY: i64 = 9_999_999;
const ONCE: i64 = 3;

/// Fills the tables as the projection would, by SQL: common names in nearly all rows, rare ones in one of 10,000.
fn fill(fresh: &Fresh, snapshot: &dyn ViewSnapshot) {
    let table = |name: &str| snapshot.table(name);
    let often = format!(
        "CASE WHEN g < {EVENTS} / 20 THEN {ONCE} WHEN g % 10000 = 7 THEN {RARELY} WHEN g % 20 = 0 THEN 100 + g % 5000 ELSE {COMMON} END"
    );
    let rows = |table: String, columns: &str| {
        fresh.sql(&format!("INSERT INTO {table} SELECT {columns} FROM generate_series(1, {EVENTS}) g"));
    };
    for name in ["entries", "targets", "topics"] {
        fresh.sql(&format!("ALTER TABLE {} SET (autovacuum_enabled = off)", table(name)));
    }
    rows(
        table("entries"),
        &format!("g, g * 10 % 700000, {often}, {often}, {often}, 10000 + g % 20000, NULLIF({often}, {COMMON})"),
    );
    rows(table("targets"), "10000 + g % 20000, g");
    rows(table("targets"), &format!("{often}, g"));
    rows(table("topics"), &format!("{often}, g"));
}

/// The plan of a statement, run as a snapshot runs it, with the number of rows at each step.
fn explained(fresh: &Fresh, (sql, parameters): (String, Row)) -> Value {
    let arguments: Vec<String> = parameters
        .iter()
        .map(|cell| match cell {
            Cell::Integer(number) => number.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let types = vec!["bigint"; arguments.len()].join(", ");
    let printed = fresh.sql(&format!(
        "SET plan_cache_mode = force_custom_plan; SET jit = off; SET enable_bitmapscan = off;\nPREPARE page ({types}) AS {sql};\n\
         EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE page ({})",
        arguments.join(", ")
    ));
    let begin = printed.find('[').unwrap_or_else(|| panic!("{printed}"));
    serde_json::from_str::<Value>(&printed[begin..printed.rfind(']').unwrap() + 1]).unwrap()[0]["QueryPlan"].clone()
}

/// Asserts that no step scans a table, and none sees more than `most` rows.
fn assert_bounded(plan: &Value, most: f64, what: &str) {
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0);
    let loops = number("Actual Loops").max(1.0);
    let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
    let seen = (number("Actual Rows") + removed) * loops;
    assert!(seen <= most, "{what}: {seen} rows, {most} at most\n{plan:#}");
    assert_ne!(plan["Node Type"], "Seq Scan", "{what}\n{plan:#}");
    for below in plan["Plans"].as_array().into_iter().flatten() {
        assert_bounded(below, most, what);
    }
}

fn of(column: Column, values: &[i64]) -> ColumnFilter {
    ColumnFilter { column, values: values.to_vec() }
}

fn wanted(columns: Vec<ColumnFilter>) -> ResolvedFilter {
    ResolvedFilter { columns, occurred: None }
}

/// The first pages and deep ones, in both orders.
fn windows() -> Vec<Window> {
    let ranges = [1..EVENTS + 1, EVENTS / 2..EVENTS + 1, 1..EVENTS / 2];
    let both = |positions: std::ops::Range<u64>| {
        [false, true].map(|newest_first| Window { positions: positions.clone(), moments: None, newest_first })
    };
    ranges.into_iter().flat_map(both).collect()
}

async fn prepared() -> (Fresh, World) {
    let fresh = tokio::task::spawn_blocking(Fresh::schema).await.unwrap();
    let world = World::open(fresh.url()).await;
    let snapshot = world.settled("audit").await.snapshot().await.unwrap();
    fill(&fresh, &*snapshot);
    drop(snapshot);
    (fresh, world)
}

/// Runs the check before and after ANALYZE.
fn with_and_without_statistics(fresh: &Fresh, snapshot: &dyn ViewSnapshot, check: impl Fn(&str)) {
    for analysed in [false, true] {
        if analysed {
            for name in ["entries", "targets", "topics"] {
                fresh.sql(&format!("ANALYZE {}", snapshot.table(name)));
            }
        }
        check(if analysed { "analysed" } else { "never analysed" });
    }
}

/// Mission J12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_single_filter_walks_one_index_up_to_the_end_of_the_page() {
    let (fresh, world) = prepared().await;
    let snapshot = world.reading("audit").snapshot().await.unwrap();
    let columns = [ACTOR, ACTION, EVENT, TARGET, TOPIC];
    with_and_without_statistics(&fresh, &*snapshot, |when| {
        for window in windows() {
            let page = |asked: &ResolvedFilter, driver, arms: usize| {
                let sql = Sql::new(asked, &window, &*snapshot).page(driver, PAGE);
                assert_bounded(
                    &explained(&fresh, sql),
                    (PAGE * arms) as f64,
                    &format!("{when} {asked:?} {window:?}"),
                );
            };
            page(&wanted(vec![]), Driver::Order, 1);
            let driver = Driver::Filter { index: 0, rare: false };
            for column in columns {
                for value in [COMMON, RARELY, NOBODY, ONCE] {
                    page(&wanted(vec![of(column, &[value])]), driver, 1);
                }
                page(&wanted(vec![of(column, &[COMMON, RARELY, 120, 140, NOBODY])]), driver, 5);
            }
            page(&wanted(vec![of(CORRELATION, &[RARELY])]), driver, 1);
            page(&wanted(vec![of(AGGREGATE, &[10_007])]), driver, 1);
        }
    });
    drop(snapshot);
    world.close().await;
}

/// The driver is walked; each candidate is looked up in the other filters, and no other row is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_filter_is_walked_and_the_others_are_looked_up() {
    let (fresh, world) = prepared().await;
    let snapshot = world.reading("audit").snapshot().await.unwrap();
    let asked = wanted(vec![
        of(TARGET, &[COMMON, 120]),
        of(TOPIC, &[COMMON, RARELY]),
        of(ACTOR, &[COMMON]),
        of(ACTION, &[120, 140]),
        of(AGGREGATE, &[10_007]),
    ]);
    with_and_without_statistics(&fresh, &*snapshot, |when| {
        for window in windows() {
            for index in 0..asked.columns.len() {
                let driver = Driver::Filter { index, rare: false };
                let sql = Sql::new(&asked, &window, &*snapshot).page(driver, PAGE);
                assert_bounded(
                    &explained(&fresh, sql),
                    4.0 * PAGE as f64,
                    &format!("{when} {driver:?} {window:?}"),
                );
            }
            let counts = Sql::new(&asked, &window, &*snapshot).count_by_filter();
            let most = (2 * RARE) as f64;
            assert_bounded(&explained(&fresh, counts), most, &format!("{when} counts {window:?}"));
        }
    });
    drop(snapshot);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_order_of_occurrence_walks_its_index_from_any_time() {
    let (fresh, world) = prepared().await;
    let snapshot = world.reading("audit").snapshot().await.unwrap();
    with_and_without_statistics(&fresh, &*snapshot, |when| {
        for newest_first in [false, true] {
            for moments in
                [(i64::MIN, 0)..(i64::MAX, 0), (350_000, 35_001)..(i64::MAX, 0), (i64::MIN, 0)..(350_000, 35_000)]
            {
                let window = Window { positions: 1..EVENTS + 1, moments: Some(moments), newest_first };
                let page = |asked: &ResolvedFilter, driver, most: usize| {
                    let sql = Sql::new(asked, &window, &*snapshot).page(driver, PAGE);
                    assert_bounded(&explained(&fresh, sql), most as f64, &format!("{when} {driver:?} {window:?}"));
                };
                page(&wanted(vec![]), Driver::Order, 2 * PAGE);
                let common = wanted(vec![of(ACTOR, &[COMMON])]);
                page(&common, Driver::Filter { index: 0, rare: false }, 2 * PAGE);
                // A rare filter is sorted: exactly its rows are read.
                let seldom = wanted(vec![of(ACTOR, &[RARELY])]);
                page(&seldom, Driver::Filter { index: 0, rare: true }, (EVENTS / 10_000) as usize + 1);
            }
        }
    });
    drop(snapshot);
    world.close().await;
}
