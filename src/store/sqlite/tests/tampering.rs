//! J9, guarantee 14: edits by raw SQL are refused, and found where the triggers were taken away for them.

use rusqlite::Connection;

use super::Place;
use crate::events::Types;
use crate::store::check::check;
use crate::store::conformance::bench::{append, commit, committed, id};
use crate::store::sqlite::file::LOG;
use crate::store::{CheckReport, Store};

/// Four commits, seven events.
async fn filled(store: &dyn Store) {
    committed(store, commit(1).on("tally:a", 0, 2)).await;
    let outcomes = append(store, [commit(2).on("tally:b", 0, 1), commit(3).on("tally:a", 2, 3)]).await;
    assert!(!outcomes.iter().any(|outcome| outcome.poisons()));
    committed(store, commit(4).on("tally:b", 1, 1)).await;
}

#[tokio::test]
async fn raw_sql_cannot_change_delete_or_replace_events_and_commands() {
    let place = Place::new();
    let store = place.open().await;
    filled(&*store).await;
    let copy = "SELECT position, zeroblob(16), aggregate_type, aggregate_id, sequence, event_type, event_version, \
                '{}', metadata, command_id, occurred_at, recorded_at, digest FROM events WHERE position = 3";
    let replace = |what: &str, with: &str| {
        let changed = copy.replacen(what, with, 1);
        format!("INSERT OR REPLACE INTO events {changed}")
    };
    let raw = place.raw();
    for sql in [
        "UPDATE events SET payload = '{}' WHERE position = 3",
        "UPDATE OR REPLACE events SET position = 1 WHERE position = 3",
        "DELETE FROM events WHERE position = 7",
        "DELETE FROM events",
        &replace("", ""),
        &replace("SELECT position", "SELECT 8"),
        &replace("SELECT position, zeroblob(16)", "SELECT 8, randomblob(16)"),
        &replace("SELECT position, zeroblob(16)", "SELECT 9, x'ffffffffffffffffffffffffffffffff'"),
        &replace("SELECT position, zeroblob(16)", "SELECT 8, x'ffffffffffffffffffffffffffffffff'"),
        "INSERT INTO events SELECT * FROM events WHERE position = 3 ON CONFLICT DO UPDATE SET payload = '{}'",
        "UPDATE commands SET events = 0",
        "DELETE FROM commands",
        "INSERT OR REPLACE INTO commands SELECT command_id, 'x', body_digest, 1, 1, 1, head_event_id, 0 FROM commands",
    ] {
        let refused = raw.execute(sql, []).expect_err(sql);
        assert!(refused.to_string().contains("annals:"), "{sql}: {refused}");
    }
    assert!(sound(&*store).await);
    assert_eq!(store.head().await.unwrap().position, 7);
}

/// Edits the log with all triggers away, and puts them back.
fn edit(raw: &Connection, sql: &str) {
    const TRIGGERS: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<(String, String)> = raw
        .prepare(TRIGGERS)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(triggers.len(), LOG.schema.matches("CREATE TRIGGER").count());
    for (name, _) in &triggers {
        raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    raw.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    for (_, sql) in &triggers {
        raw.execute_batch(sql).unwrap();
    }
}

async fn report(store: &dyn Store) -> CheckReport {
    check(store, &Types::default(), &mut |_, _| {}).await.unwrap()
}

/// Findings but for those that say that no event type is known here.
async fn found(store: &dyn Store) -> Vec<(Option<u64>, String)> {
    let findings = report(store).await.findings.into_iter();
    findings
        .filter(|finding| !finding.problem.contains("is unknown to this program"))
        .map(|finding| (finding.position, finding.problem))
        .collect()
}

async fn sound(store: &dyn Store) -> bool {
    found(store).await.is_empty()
}

#[tokio::test]
async fn every_edit_made_around_the_triggers_is_found_by_the_check() {
    for (sql, position, words) in [
        ("UPDATE events SET payload = '{\"by\":2}' WHERE position = 3", Some(3), "digest"),
        ("UPDATE events SET metadata = '{\"actor\":\"user:mallory\"}' WHERE position = 3", Some(3), "digest"),
        ("UPDATE events SET event_type = 'tally.other' WHERE position = 3", Some(3), "digest"),
        ("UPDATE events SET event_version = '2.0' WHERE position = 3", Some(3), "digest"),
        ("UPDATE events SET aggregate_id = 'c' WHERE position = 7", Some(7), "sequence"),
        ("UPDATE events SET occurred_at = occurred_at - 1 WHERE position = 3", Some(3), "digest"),
        ("UPDATE events SET recorded_at = 5, occurred_at = 5 WHERE position = 3", Some(3), "time"),
        ("UPDATE events SET event_id = zeroblob(16) WHERE position = 3", Some(3), "id"),
        ("UPDATE events SET digest = zeroblob(32) WHERE position = 3", Some(3), "digest"),
        ("DELETE FROM events WHERE position = 4", Some(4), "missing"),
        ("DELETE FROM events WHERE position = 1", Some(1), "missing"),
        ("DELETE FROM events WHERE position > 5", None, "the last of them is not there"),
        ("UPDATE events SET position = 9 WHERE position = 7", Some(7), "missing"),
        ("UPDATE events SET aggregate_id = '' WHERE position = 3", Some(3), "cannot be read"),
        ("UPDATE events SET payload = CAST(x'ff' AS TEXT) WHERE position = 3", Some(3), "cannot be read"),
        ("UPDATE events SET recorded_at = 9223372036854775807 WHERE position = 7", Some(7), "cannot be read"),
        ("DELETE FROM commands WHERE events = 3", None, "not among the commands"),
        ("UPDATE commands SET first_position = first_position + 1 WHERE events = 3", None, "outside of the range"),
        ("UPDATE commands SET events = 2 WHERE events = 3", None, "in all"),
        ("DROP INDEX events_by_type", None, "index events_by_type is missing"),
    ] {
        let place = Place::new();
        let store = place.open().await;
        filled(&*store).await;
        assert!(sound(&*store).await);
        edit(&place.raw(), sql);
        let findings = found(&*store).await;
        let named = findings.iter().any(|(at, problem)| *at == position && problem.contains(words));
        assert!(named, "{sql}: {findings:#?}");
    }
}

#[tokio::test]
async fn a_missing_or_changed_trigger_is_found() {
    let place = Place::new();
    let store = place.open().await;
    filled(&*store).await;
    let raw = place.raw();
    raw.execute_batch("DROP TRIGGER events_stay; DROP TRIGGER events_remain").unwrap();
    raw.execute_batch("CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT 1; END").unwrap();
    let findings: Vec<String> = found(&*store).await.into_iter().map(|(_, problem)| problem).collect();
    assert_eq!(findings, ["the trigger events_stay is missing", "the trigger events_remain was changed"]);
}

/// Around a row that cannot be read, all others are looked at, and each once.
#[tokio::test]
async fn an_unreadable_row_hides_no_other() {
    let place = Place::new();
    let store = place.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 2_500)).await;
    let edits = "UPDATE events SET payload = 'x' WHERE position IN (1199, 1201, 2500); \
                 UPDATE events SET aggregate_type = 'Not a kind' WHERE position IN (1200, 1, 2400)";
    edit(&place.raw(), edits);
    let report = report(&*store).await;
    assert_eq!(report.events, 2_500);
    assert_eq!(
        (report.findings.len(), report.more > 1_000),
        (1_000, true),
        "the others are counted: no type is known"
    );
    let positions: Vec<_> = found(&*store).await.into_iter().filter_map(|(position, _)| position).collect();
    assert_eq!(positions.first(), Some(&1));
    assert_eq!(store.commands(&[id(1)]).await.unwrap()[0].as_ref().unwrap().receipt.events, 2_500);
}
