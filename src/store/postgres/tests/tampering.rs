//! J9, guarantee 14: edits by raw SQL are refused, and found where the triggers were taken away for them.

use sqlx::Executor;

use super::Bed;
use crate::events::Types;
use crate::store::Store;
use crate::store::check::check;
use crate::store::conformance::bench::{append, commit, committed};

/// Four commits, seven events.
async fn filled(store: &dyn Store) {
    committed(store, commit(1).on("tally:a", 0, 2)).await;
    let outcomes = append(store, [commit(2).on("tally:b", 0, 1), commit(3).on("tally:a", 2, 3)]).await;
    assert!(!outcomes.iter().any(|outcome| outcome.poisons()));
    committed(store, commit(4).on("tally:b", 1, 1)).await;
}

/// Findings but for those that say that no event type is known here.
async fn found(store: &dyn Store) -> Vec<(Option<u64>, String)> {
    let report = check(store, &Types::default(), &mut |_, _| {}).await.unwrap();
    let findings = report.findings.into_iter();
    findings
        .filter(|finding| !finding.problem.contains("is unknown to this program"))
        .map(|finding| (finding.position, finding.problem))
        .collect()
}

#[tokio::test]
async fn raw_sql_cannot_change_delete_or_replace_events_and_commands() {
    let bed = Bed::new();
    let store = bed.open().await;
    filled(&*store).await;
    let mut raw = bed.raw().await;
    let key = "ON CONFLICT (aggregate_type, aggregate_id, sequence) DO UPDATE SET payload = '{}'";
    for (sql, words) in [
        ("UPDATE {schema}.events SET payload = '{}' WHERE position = 3".to_owned(), "annals:"),
        ("DELETE FROM {schema}.events WHERE position = 7".to_owned(), "annals:"),
        ("DELETE FROM {schema}.events WHERE false".to_owned(), "annals:"),
        ("TRUNCATE {schema}.events".to_owned(), "annals:"),
        ("TRUNCATE {schema}.events, {schema}.commands CASCADE".to_owned(), "annals:"),
        (format!("INSERT INTO {{schema}}.events SELECT * FROM {{schema}}.events {key}"), "annals:"),
        ("UPDATE {schema}.commands SET events = 0".to_owned(), "annals:"),
        ("DELETE FROM {schema}.commands".to_owned(), "annals:"),
        ("TRUNCATE {schema}.commands".to_owned(), "annals:"),
        ("SET session_replication_role = replica; DELETE FROM {schema}.events".to_owned(), "annals:"),
        (
            "INSERT INTO {schema}.events SELECT * FROM {schema}.events WHERE position = 3".to_owned(),
            "duplicate key",
        ),
    ] {
        let refused = raw.execute(bed.place.sql(&sql).as_str()).await.map(|_| ()).expect_err(&sql);
        assert!(refused.to_string().contains(words), "{sql}: {refused}");
    }
    assert_eq!(found(&*store).await, []);
    assert_eq!(store.head().await.unwrap().position, 7);
}

#[tokio::test]
async fn every_edit_made_around_the_triggers_is_found_by_the_check() {
    let off = "ALTER TABLE {schema}.events DISABLE TRIGGER ALL; ALTER TABLE {schema}.commands DISABLE TRIGGER ALL;";
    let on = "ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay; \
              ALTER TABLE {schema}.commands ENABLE ALWAYS TRIGGER commands_stay";
    for (sql, position, words) in [
        ("UPDATE {schema}.events SET payload = '{\"by\":2}' WHERE position = 3", Some(3), "digest"),
        ("UPDATE {schema}.events SET metadata = '{\"actor\":\"user:eve\"}' WHERE position = 3", Some(3), "digest"),
        ("UPDATE {schema}.events SET event_type = 'tally.other' WHERE position = 3", Some(3), "digest"),
        ("UPDATE {schema}.events SET aggregate_id = 'c' WHERE position = 7", Some(7), "sequence"),
        (
            "UPDATE {schema}.events SET occurred_at = occurred_at - interval '1 us' WHERE position = 3",
            Some(3),
            "digest",
        ),
        ("UPDATE {schema}.events SET recorded_at = '1999-01-01' WHERE position = 3", Some(3), "time"),
        ("UPDATE {schema}.events SET recorded_at = 'infinity' WHERE position = 7", Some(7), "cannot be read"),
        (
            "UPDATE {schema}.events SET event_id = '00000000-0000-0000-0000-000000000000' WHERE position = 3",
            Some(3),
            "id",
        ),
        ("DELETE FROM {schema}.events WHERE position = 4", Some(4), "missing"),
        ("DELETE FROM {schema}.events WHERE position > 5", None, "the last of them is not there"),
        ("UPDATE {schema}.events SET aggregate_id = '' WHERE position = 3", Some(3), "cannot be read"),
        ("DELETE FROM {schema}.commands WHERE events = 3", None, "not among the commands"),
        ("UPDATE {schema}.commands SET first_position = 9 WHERE events = 3", None, "outside of the range"),
        ("UPDATE {schema}.commands SET events = 2 WHERE events = 3", None, "in all"),
        ("DROP INDEX {schema}.events_by_type", None, "events_by_type is missing"),
        ("ALTER TABLE {schema}.events DROP CONSTRAINT events_position", None, "events_position is missing"),
        ("DROP FUNCTION {schema}.hold()", None, "function hold is missing"),
        (
            "CREATE OR REPLACE FUNCTION {schema}.stay() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            None,
            "function stay is missing or was changed",
        ),
    ] {
        let bed = Bed::new();
        let store = bed.open().await;
        filled(&*store).await;
        assert_eq!(found(&*store).await, []);
        bed.run(&format!("{off} {sql}; {on}")).await;
        let findings = found(&*store).await;
        let named = findings.iter().any(|(at, problem)| *at == position && problem.contains(words));
        assert!(named, "{sql}: {findings:#?}");
    }
}

#[tokio::test]
async fn a_missing_or_disabled_trigger_is_found() {
    let bed = Bed::new();
    let store = bed.open().await;
    filled(&*store).await;
    bed.run(
        "ALTER TABLE {schema}.events DISABLE TRIGGER events_stay; DROP TRIGGER commands_stay ON {schema}.commands",
    )
    .await;
    let mut findings: Vec<String> = found(&*store).await.into_iter().map(|(_, problem)| problem).collect();
    findings.sort();
    let gone = |name: &str| format!("the trigger {name} is missing, was changed or is disabled");
    assert_eq!(findings, [gone("commands_stay"), gone("events_stay")]);
}
