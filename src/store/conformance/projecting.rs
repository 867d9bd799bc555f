//! The views: checkpoints, tables by generation, snapshots.

use std::sync::Arc;

use uuid::Uuid;

use super::bench::{Bench, aggregate};
use crate::events::LogPosition;
use crate::store::{
    Cell, Column, GenerationId, HashChain, Index, NoteKind, OnConflict, Row, Snapshot, Store, Table, Transaction,
    Views,
};

const NIL: LogPosition = LogPosition { position: 0, event_id: Uuid::nil() };

fn head(position: u64) -> LogPosition {
    LogPosition { position, event_id: Uuid::from_u128(position.into()) }
}

async fn begin(
    views: &Arc<dyn Views>,
    generation_id: &GenerationId,
    from: LogPosition,
    to: LogPosition,
) -> Box<dyn Transaction> {
    views.begin(generation_id, from, to).await.expect("a transaction").expect("the expected checkpoint")
}

/// Creates the table of the generation with one row, and moves its checkpoint to 1.
async fn set_up(views: &Arc<dyn Views>, generation_id: &GenerationId, text: &str) {
    let mut transaction = begin(views, generation_id, NIL, head(1)).await;
    let table = transaction.table("documents");
    let sql = format!("CREATE TABLE {table} (key TEXT PRIMARY KEY, number BIGINT)");
    transaction.execute(&sql, vec![]).await.expect("a table");
    insert(&mut *transaction, text).await;
    transaction.commit().await.expect("a commit");
}

async fn insert(transaction: &mut dyn Transaction, text: &str) {
    let sql = format!("INSERT INTO {} (key, number) VALUES ($1, 1)", transaction.table("documents"));
    assert_eq!(transaction.execute(&sql, vec![text.into()]).await.expect("a row"), 1);
}

/// The keys of the live generation, and its head.
async fn keys(views: &Arc<dyn Views>, name: &str) -> (Vec<String>, LogPosition) {
    let mut snapshot = views.read(name, 1).await.expect("a snapshot");
    let sql = format!("SELECT key FROM {} ORDER BY key", snapshot.table("documents"));
    let rows = snapshot.query(&sql, vec![]).await.expect("rows");
    (rows.iter().filter_map(|row| row[0].text().map(str::to_owned)).collect(), snapshot.head())
}

pub(super) async fn a_projection_begins_at_position_zero_with_generation_one(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, at) = views.live("roster", 3).await.unwrap();
    assert_eq!(generation_id, GenerationId { name: "roster".to_owned(), version: 3, generation: 1 });
    assert_eq!(at, NIL);
    assert_eq!(views.live("roster", 3).await.unwrap(), (generation_id.clone(), NIL));
    assert_eq!(views.checkpoint(&generation_id).await.unwrap(), Some(NIL));
    assert_eq!(views.checkpoint(&GenerationId { generation: 2, ..generation_id }).await.unwrap(), None);
    assert_eq!(views.read("other", 1).await.unwrap().head(), NIL, "reading creates it too");
}

/// Guarantee 19: exactly once.
pub(super) async fn effect_and_checkpoint_are_committed_together(bench: Bench) {
    let store = bench.open().await;
    let (generation_id, _) = store.views().live("roster", 1).await.unwrap();
    set_up(&store.views(), &generation_id, "one").await;
    for views in [store.views(), bench.open().await.views()] {
        assert_eq!(keys(&views, "roster").await, (vec!["one".to_owned()], head(1)));
        assert_eq!(views.checkpoint(&generation_id).await.unwrap(), Some(head(1)));
    }
}

/// Guarantee 19.
pub(super) async fn a_dropped_transaction_leaves_neither_effect_nor_checkpoint(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &generation_id, "one").await;
    let mut transaction = begin(&views, &generation_id, head(1), head(2)).await;
    insert(&mut *transaction, "two").await;
    drop(transaction);
    assert_eq!(keys(&views, "roster").await, (vec!["one".to_owned()], head(1)));
    let mut transaction = begin(&views, &generation_id, head(1), head(2)).await;
    insert(&mut *transaction, "two").await;
    transaction.commit().await.unwrap();
    assert_eq!(keys(&views, "roster").await.1, head(2));
}

/// Guarantees 16 and 19: the fence.
pub(super) async fn a_checkpoint_moved_by_another_process_fences_off_the_transaction(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let (views, others) = (store.views(), other.views());
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &generation_id, "one").await;
    begin(&others, &generation_id, head(1), head(5)).await.commit().await.unwrap();
    assert!(views.begin(&generation_id, head(1), head(2)).await.unwrap().is_none(), "another process moved it");
    let diverged = LogPosition { event_id: Uuid::from_u128(99), ..head(5) };
    assert!(
        views.begin(&generation_id, diverged, head(6)).await.unwrap().is_none(),
        "the position alone is not enough"
    );
    let gone = GenerationId { generation: 9, ..generation_id.clone() };
    assert!(views.begin(&gone, NIL, head(1)).await.unwrap().is_none(), "an unknown generation");
    begin(&views, &generation_id, head(5), head(6)).await.commit().await.unwrap();
}

pub(super) async fn placeholders_are_bound_by_their_numbers(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    let mut transaction = begin(&views, &generation_id, NIL, head(1)).await;
    let table = transaction.table("documents");
    let create = format!("CREATE TABLE {table} (key TEXT PRIMARY KEY, number BIGINT, note TEXT)");
    transaction.execute(&create, vec![]).await.unwrap();
    let insert = format!("INSERT INTO {table} (number, key, note) VALUES ($2, $1, 'costs $1')");
    transaction.execute(&insert, vec!["a ' $2".into(), Cell::Integer(i64::MIN)]).await.unwrap();
    let select = format!("SELECT key, number, note FROM {table} WHERE key = $1 AND number = $2 AND key = $1");
    let rows = transaction.query(&select, vec!["a ' $2".into(), Cell::Integer(i64::MIN)]).await.unwrap();
    assert_eq!(rows, [vec!["a ' $2".into(), Cell::Integer(i64::MIN), "costs $1".into()]]);
    let given = vec!["not named".into(), "a ' $2".into(), Cell::Integer(0), Cell::Integer(i64::MIN)];
    let some = format!("SELECT key FROM {table} WHERE key = $2 AND number = $4");
    assert_eq!(transaction.query(&some, given).await.unwrap(), [vec!["a ' $2".into()]], "two are not named");
    let none = format!("UPDATE {table} SET note = NULL WHERE key = $1");
    assert_eq!(transaction.execute(&none, vec!["b".into()]).await.unwrap(), 0);
    assert_eq!(transaction.execute(&none, vec!["a ' $2".into()]).await.unwrap(), 1);
    let select = format!("SELECT note FROM {table}");
    assert_eq!(transaction.query(&select, vec![]).await.unwrap(), [vec![Cell::Null]]);
}

const ROWS: Table = Table::new(
    "rows",
    &[
        Column::text("name"),
        Column::integer("number"),
        Column::bytes("bytes").nullable(),
        Column::text("text").nullable(),
    ],
    &["name", "number"],
);

fn row(name: &str, number: i64, text: Option<&str>) -> Row {
    let text = text.map_or(Cell::Null, Cell::from);
    vec![name.into(), number.into(), Cell::Bytes(vec![0, 255]), text]
}

async fn texts(transaction: &mut dyn Transaction, keys: &[(&str, i64)]) -> Vec<Option<Row>> {
    let keys = keys.iter().map(|(name, number)| vec![(*name).into(), (*number).into()]).collect();
    transaction.select_by_keys(&ROWS, &["name", "number"], &["text"], keys).await.expect("rows")
}

pub(super) async fn rows_are_written_and_read_in_bulk(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    assert!(!views.read("roster", 1).await.unwrap().has_table("rows").await.unwrap());
    let mut transaction = begin(&views, &generation_id, NIL, head(1)).await;
    let transaction = &mut *transaction;
    for _ in 0..2 {
        transaction.create_table(&ROWS).await.unwrap();
        transaction.create_index(&ROWS, &Index::new("rows_by_text", &["text"]).skipping_null()).await.unwrap();
    }
    let many = (0..500).map(|number| row("many", number, Some("\0first\u{1}"))).collect();
    transaction.insert_rows(&ROWS, many, OnConflict::Fail).await.unwrap();
    let again = vec![row("many", 7, Some("second")), row("a", 1, None), row("many", 7, Some("third"))];
    transaction.insert_rows(&ROWS, again.clone(), OnConflict::Keep).await.unwrap();
    let text = |text: &str| Some(vec![Cell::from(text)]);
    let asked = [("many", 7), ("none", 1), ("a", 1), ("many", 499)];
    let expected = [text("\0first\u{1}"), None, Some(vec![Cell::Null]), text("\0first\u{1}")];
    assert_eq!(texts(transaction, &asked).await, expected, "the rows that were there are kept");
    transaction.insert_rows(&ROWS, again, OnConflict::Replace).await.unwrap();
    assert_eq!(texts(transaction, &[("many", 7)]).await, [text("third")], "the last row of a key stays");

    let keys = vec![vec!["many".into()], vec!["none".into()]];
    let last = transaction.select_by_keys(&ROWS, &["name"], &["number", "bytes"], keys).await.unwrap();
    let expected = vec![Cell::Integer(499), Cell::Bytes(vec![0, 255])];
    assert_eq!(last, [Some(expected), None], "the last in the order of the key");

    let keys = (0..499).map(|number| vec!["many".into(), Cell::Integer(number)]).collect();
    transaction.delete_keys(&ROWS, keys).await.unwrap();
    for rows in [vec![], vec![vec!["none".into(), Cell::Integer(1)]]] {
        transaction.delete_keys(&ROWS, rows).await.unwrap();
    }
    assert_eq!(transaction.select_by_keys(&ROWS, &["name"], &["text"], vec![]).await.unwrap(), []);
    transaction.insert_rows(&ROWS, vec![], OnConflict::Fail).await.unwrap();
    let count = format!("SELECT count(*) FROM {}", transaction.table("rows"));
    assert_eq!(transaction.query(&count, vec![]).await.unwrap(), [vec![Cell::Integer(2)]]);
    let taken = transaction.insert_rows(&ROWS, vec![row("a", 1, None)], OnConflict::Fail).await;
    assert!(taken.is_err(), "the key is in the table");
}

/// A table that is filled in any order gets its key, and keeps its rows.
pub(super) async fn a_table_gets_its_key_once_it_is_filled(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    let mut transaction = begin(&views, &generation_id, NIL, head(1)).await;
    transaction.create_table(&ROWS.without_key()).await.unwrap();
    let rows = (0..200).rev().map(|number| row(["b", "a"][number as usize % 2], number, Some("x"))).collect();
    transaction.insert_rows(&ROWS, rows, OnConflict::Fail).await.unwrap();
    for _ in 0..2 {
        transaction.add_key(&ROWS).await.unwrap();
    }
    transaction.insert_rows(&ROWS, vec![row("c", 1, Some("y"))], OnConflict::Fail).await.unwrap();
    assert_eq!(
        texts(&mut *transaction, &[("a", 199), ("b", 0), ("c", 1), ("c", 2)]).await.iter().flatten().count(),
        3
    );
    transaction.commit().await.unwrap();
    let mut snapshot = views.read("roster", 1).await.unwrap();
    assert!(snapshot.has_table("rows").await.unwrap());
    let sql = format!("SELECT count(*) FROM {}", snapshot.table("rows"));
    assert_eq!(snapshot.query(&sql, vec![]).await.unwrap(), [vec![Cell::Integer(201)]]);
    drop(snapshot);
    let mut transaction = begin(&views, &generation_id, head(1), head(2)).await;
    let taken = transaction.insert_rows(&ROWS, vec![row("c", 1, None)], OnConflict::Fail).await;
    assert!(taken.is_err(), "no two rows have one key");
}

pub(super) async fn the_error_of_a_failed_statement_contains_it(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    let mut transaction = begin(&views, &generation_id, NIL, head(1)).await;
    let error = transaction.execute("INSERT INTO nowhere VALUES ($1)", vec!["x".into()]).await.unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(source.contains("nowhere"), "{error}: {source}");
    assert!(transaction.execute("SELECT $1", vec![]).await.is_err(), "a missing parameter");
    drop(transaction);
    assert_eq!(views.checkpoint(&generation_id).await.unwrap(), Some(NIL));
    let mut snapshot = views.read("roster", 1).await.unwrap();
    let table = snapshot.table("documents");
    assert!(snapshot.query(&format!("SELECT * FROM {table}"), vec![]).await.is_err(), "a missing table");
}

/// Mission X3, Guarantee 22.
pub(super) async fn a_rebuild_is_made_beside_the_live_generation_and_then_switched(bench: Bench) {
    let views = bench.open().await.views();
    let (live, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &live, "old").await;
    let (shadow, at) = views.shadow("roster", 1).await.unwrap();
    assert_eq!((shadow.generation, at), (2, NIL));
    set_up(&views, &shadow, "new").await;
    assert_eq!(keys(&views, "roster").await.0, ["old"], "the old generation is still read");
    assert!(views.switch(&shadow).await.unwrap());
    assert_eq!(keys(&views, "roster").await, (vec!["new".to_owned()], head(1)));
    assert_eq!(views.live("roster", 1).await.unwrap(), (shadow, head(1)));
    assert_eq!(views.checkpoint(&live).await.unwrap(), None);
    assert!(
        views.begin(&live, head(1), head(2)).await.unwrap().is_none(),
        "who was writing the old one is fenced off"
    );
    let (next, at) = views.shadow("roster", 1).await.unwrap();
    assert_eq!((next.generation, at), (3, NIL), "the number of a generation is not used twice");
}

/// Mission X3, Guarantee 22: the rebuild must be at least as far as the live generation.
pub(super) async fn a_rebuild_behind_the_live_generation_is_not_switched(bench: Bench) {
    let views = bench.open().await.views();
    let (live, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &live, "old").await;
    begin(&views, &live, head(1), head(2)).await.commit().await.unwrap();
    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "new").await;
    assert!(!views.switch(&shadow).await.unwrap());
    assert_eq!(keys(&views, "roster").await, (vec!["old".to_owned()], head(2)));
    begin(&views, &shadow, head(1), head(3)).await.commit().await.unwrap();
    assert!(views.switch(&shadow).await.unwrap());
    assert_eq!(keys(&views, "roster").await, (vec!["new".to_owned()], head(3)));
    let gone = GenerationId { generation: 9, ..shadow };
    assert!(!views.switch(&gone).await.unwrap());
}

/// Mission X3: a rebuild resumes after a crash.
pub(super) async fn a_rebuild_continues_an_abandoned_one(bench: Bench) {
    let store = bench.open().await;
    let (shadow, _) = store.views().shadow("roster", 1).await.unwrap();
    set_up(&store.views(), &shadow, "new").await;
    store.close().await;
    let views = bench.open().await.views();
    assert_eq!(views.shadow("roster", 1).await.unwrap(), (shadow, head(1)));
}

/// Mission X3: a cancelled rebuild does not change the live generation.
pub(super) async fn a_discarded_generation_is_deleted_and_the_live_one_cannot_be_discarded(bench: Bench) {
    let views = bench.open().await.views();
    let (live, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &live, "old").await;
    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "new").await;
    views.discard(&shadow).await.unwrap();
    assert_eq!(views.checkpoint(&shadow).await.unwrap(), None);
    views.discard(&shadow).await.unwrap();
    assert!(views.discard(&live).await.is_err());
    assert_eq!(keys(&views, "roster").await.0, ["old"]);
    let (shadow, at) = views.shadow("roster", 1).await.unwrap();
    assert_eq!(at, NIL);
    set_up(&views, &shadow, "its tables are not there any more").await;
}

/// Missions P14 and X9: the rows are those of the head.
pub(super) async fn a_snapshot_of_a_view_is_of_one_moment(bench: Bench) {
    let views = bench.open().await.views();
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    set_up(&views, &generation_id, "one").await;
    let mut snapshot = views.read("roster", 1).await.unwrap();
    let sql = format!("SELECT count(*) FROM {}", snapshot.table("documents"));
    let mut transaction = begin(&views, &generation_id, head(1), head(2)).await;
    insert(&mut *transaction, "two").await;
    transaction.commit().await.unwrap();
    assert_eq!(snapshot.query(&sql, vec![]).await.unwrap(), [vec![Cell::Integer(1)]]);
    assert_eq!(snapshot.head(), head(1));
    let write = format!("DELETE FROM {}", snapshot.table("documents"));
    assert!(snapshot.query(&write, vec![]).await.is_err(), "a snapshot only reads");
    assert_eq!(keys(&views, "roster").await.0.len(), 2);
}

pub(super) async fn projections_of_any_name_and_version_are_separate(bench: Bench) {
    let views = bench.open().await.views();
    let names = ["roster", "Roster", "roster-2", "roster_v1_g1", "o'neill \"; DROP", "日本", "roster_v1", ""];
    for name in names {
        let (live, _) = views.live(name, 1).await.unwrap();
        set_up(&views, &live, name).await;
    }
    let (second, _) = views.live("roster", 2).await.unwrap();
    set_up(&views, &second, "of version 2").await;
    let (shadow, _) = views.shadow("roster", 1).await.unwrap();
    set_up(&views, &shadow, "roster").await;
    assert!(views.switch(&shadow).await.unwrap());
    for name in names {
        assert_eq!(keys(&views, name).await, (vec![name.to_owned()], head(1)));
    }
    assert_eq!(views.checkpoint(&second).await.unwrap(), Some(head(1)), "a switch does not affect other versions");
}

pub(super) async fn a_note_is_kept_for_every_handle_until_it_is_cleared(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let (views, others) = (store.views(), other.views());
    assert_eq!(views.note("roster", 1, NoteKind::Stop).await.unwrap(), None);
    for note in ["it stopped", "it stopped again"] {
        views.set_note("roster", 1, NoteKind::Stop, Some(note.to_owned())).await.unwrap();
        assert_eq!(others.note("roster", 1, NoteKind::Stop).await.unwrap().as_deref(), Some(note));
    }
    assert_eq!(others.note("roster", 2, NoteKind::Stop).await.unwrap(), None);
    others.set_note("roster", 1, NoteKind::Stop, None).await.unwrap();
    assert_eq!(views.note("roster", 1, NoteKind::Stop).await.unwrap(), None);
}

/// Snapshots are a cache of states of the log.
pub(super) async fn a_snapshot_of_an_aggregate_is_kept_until_a_newer_one_is_saved(bench: Bench) {
    let store = bench.open().await;
    let key = aggregate("tally:a");
    let state = |sequence: u64, shape: &str| Snapshot {
        sequence,
        event_id: Uuid::from_u128(sequence.into()),
        digest: HashChain::from_bytes([sequence.to_le_bytes()[0]; 32]),
        shape: shape.to_owned(),
        state: format!("[{sequence}]"),
    };
    let kept = async |store: &dyn Store| store.views().load_snapshot(&key).await.unwrap();
    store.views().save_snapshot(&key, state(5, "x")).await.unwrap();
    if !bench.fixture().has_snapshots() {
        assert_eq!((kept(&*store).await, store.views().list_snapshots().await.unwrap()), (None, vec![]));
        assert_eq!(store.views().delete_snapshots().await.unwrap(), 0);
        return;
    }
    assert_eq!(kept(&*store).await, Some(state(5, "x")));
    store.views().save_snapshot(&key, state(3, "x")).await.unwrap();
    assert_eq!(kept(&*store).await, Some(state(5, "x")), "an older snapshot does not replace it");
    store.views().save_snapshot(&key, state(9, "x")).await.unwrap();
    assert_eq!(kept(&*store).await, Some(state(9, "x")));
    store.views().save_snapshot(&key, state(8, "y")).await.unwrap();
    assert_eq!(kept(&*store).await, Some(state(8, "y")), "a snapshot of another shape replaces it");
    let other = aggregate("tally:b");
    assert_eq!(store.views().load_snapshot(&other).await.unwrap(), None);
    store.views().save_snapshot(&other, state(1, "x")).await.unwrap();
    let store = bench.open().await;
    assert_eq!(kept(&*store).await, Some(state(8, "y")));
    assert_eq!(store.views().list_snapshots().await.unwrap(), [key.clone(), other]);
    assert_eq!(store.views().delete_snapshots().await.unwrap(), 2);
    assert_eq!((kept(&*store).await, store.views().list_snapshots().await.unwrap()), (None, vec![]));
}
