//! `migrate`: an application on postgres-es moves to annals.

use std::process::{Command, Output};

use annals_test_postgres::{Fresh, Place};
use serde_json::Value;

/// The tables of postgres-es and rows that it wrote: event types with or without prefix, payloads in serde's own form, no
/// actor.
const STOCK: &str = r#"
    CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
        payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence));
    INSERT INTO events VALUES
        ('Project', '7', 1, 'created', '1.0', '{"Created":{"name":"Vaccines"}}', '{}'),
        ('Project', '7', 2, 'project_member.added', '1.0', '{"Added":{"user":"bob","roles":["developer"]}}', '{}'),
        ('Project', '8', 1, 'created', '1.0', '{"Created":{"name":"Climate"}}', '{"time":"noon"}');
"#;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_job_server"));
    command.env_remove("ANNALS_STORE").env_remove("ANNALS_ACTOR");
    command.args(arguments).output().expect("the program runs")
}

fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(arguments: &[&str], words: &str) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

fn stock() -> Fresh {
    let fresh = Fresh::schema();
    fresh.sql(&format!("CREATE SCHEMA {}; {STOCK}", fresh.name()));
    fresh
}

#[test]
fn a_database_of_postgres_es_is_taken_over_and_accepts_commands() {
    let fresh = stock();
    let on = |arguments: &[&'static str]| [arguments, &["--store", fresh.url()]].concat();
    let read = on(&["audit", "--format", "jsonl"]);
    refused(&read, "run `migrate`");
    let said = ok(&on(&["migrate"]));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "took over 3 events of 2 aggregates",
            "order: within each aggregate by its sequences; between aggregates as the rows lie in the table, which is an \
             assumption: postgres-es stores no time, and rows lie elsewhere after an update, a rollback or VACUUM",
            "renamed the aggregate type Project to project",
            "renamed created to project.created",
            "no actor in the metadata of 3 events, which are by system:postgres-es; the first is event 1 of `Project` `7`: its \
             metadata has no text field `actor`",
            "metadata kept under `postgres_es`, with the fields: time (1)",
            "the old rows are in the table postgres_es_events; until the first command, `migrate --undo` puts them back",
        ]
    );
    assert_eq!(fresh.sql("SELECT count(*) FROM postgres_es_events").trim(), "3");

    let sentences = |text: &str| -> Vec<String> {
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a row"));
        rows.map(|row| row["sentence"].as_str().expect("a sentence").to_owned()).collect()
    };
    assert_eq!(
        sentences(&ok(&read)),
        [
            "system:postgres-es created project:7, called Vaccines",
            "system:postgres-es added user:bob to project:7 as developer",
            "system:postgres-es created project:8, called Climate",
        ]
    );
    // A command is decided on the events that were taken over.
    let body = r#"{"project":"7","user":"bob","roles":["coordinator"]}"#;
    ok(&on(&["execute", "update_member_roles", body, "--actor", "user:alice"]));
    let last = sentences(&ok(&read)).pop().expect("a row");
    assert_eq!(last, "user:alice changed user:bob's roles on project:7 from developer to coordinator");
    ok(&on(&["check"]));
    assert!(ok(&on(&["migrate"])).contains("already"), "the second run changes nothing");
}

/// A dry run first, then the migration with what it said is missing, and back.
#[test]
fn a_take_over_is_tried_done_with_a_mapping_and_undone() {
    let fresh = stock();
    fresh.sql(
        "UPDATE events SET event_version = '0.1', metadata = '{\"user\":\"ann\",\"time\":\"2024-05-01T10:00:00Z\"}' \
         WHERE aggregate_id = '8'",
    );
    let store = ["--store", fresh.url()];
    let run_with = |arguments: &[&'static str]| [&["migrate"], arguments, &store].concat();
    refused(&run_with(&["--dry-run"]), "--event-version 'created:0.1=1'");
    refused(&run_with(&["--event-version", "created=1"]), "write TYPE:TEXT=N");
    refused(&run_with(&["--kind", "Project"]), "write OLD=NEW");
    let mapping =
        ["--event-version", "created:0.1=1", "--actor-from", "user", "--actor-kind", "user", "--time-from", "time"];
    let said = ok(&run_with(&[&mapping[..], &["--dry-run"]].concat()));
    for line in
        ["could take over 3 events of 2 aggregates", "nothing was changed", "no time in the metadata of 2 events"]
    {
        assert!(said.contains(line), "{said}");
    }
    assert!(ok(&run_with(&mapping)).contains("took over 3 events of 2 aggregates"));
    let rows = ok(&["audit", "--actor", "user:ann", "--format", "jsonl", store[0], store[1]]);
    let row: Value = serde_json::from_str(rows.trim()).expect("one row");
    assert_eq!(row["sentence"], "user:ann created project:8, called Climate");
    refused(&run_with(&["--dry-run"]), "it is a store already");
    let said = ok(&run_with(&["--undo"]));
    assert_eq!(said.trim(), "put the table of postgres-es back, with 3 events; the store was dropped");
    assert_eq!(fresh.sql("SELECT count(*) FROM events").trim(), "3");
    refused(&run_with(&["--undo"]), "nothing to undo");
}

#[test]
fn the_result_of_a_take_over_is_printed_as_json_too() {
    let fresh = stock();
    let said = ok(&["migrate", "--format", "json", "--store", fresh.url()]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["events"], &said["aggregates"]), (&3.into(), &2.into()));
    assert_eq!(said["event_types"]["created"], "project.created");
    assert_eq!(said["kept"], "postgres_es_events");
}

/// An invalid row leaves the tables unchanged; an empty schema becomes a store.
#[test]
fn a_database_that_cannot_be_taken_over_gives_an_error_and_is_unchanged() {
    let spoilt = stock();
    spoilt.sql("DELETE FROM events WHERE aggregate_id = '7' AND sequence = 1");
    refused(&["migrate", "--store", spoilt.url()], "`Project 7` are not 1, 2, 3");
    assert_eq!(spoilt.sql("SELECT count(*) FROM events").trim(), "2");
    let empty = Fresh::schema();
    empty.sql(&format!("CREATE SCHEMA {}", empty.name()));
    assert!(ok(&["migrate", "--store", empty.url()]).starts_with("created a store"));
    refused(&["migrate", "--store", Place::sqlite().url()], "is not a PostgreSQL store");
    refused(&["migrate"], "`sqlite://job_server.db` is not a PostgreSQL store");
}
