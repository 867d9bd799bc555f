//! The command line, as a person or a script uses it.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use annals_test_postgres::Place;
use common::{Answer, Server};
use serde_json::Value;

annals_test_postgres::both_stores!(
    blocking:
    the_audit_log_shows_sentences_and_fields,
    pages_follow_one_another_by_cursor,
    rows_come_as_json_lines_and_csv_too,
    hostile_text_is_inert_on_a_terminal_and_in_a_spreadsheet,
    hostile_text_is_shown_safely_in_every_format,
    a_new_row_appears_in_a_followed_log,
    each_ending_signal_ends_a_followed_log,
    where_there_is_nothing_the_program_says_so,
    the_same_command_id_prints_the_first_receipt_again,
    metrics_views_projections_events_and_check_do_what_they_say,
    bad_input_gives_a_clear_error_and_writes_nothing,
);

fn positions(page: &Value) -> Vec<u64> {
    page.as_array().unwrap().iter().map(|row| row["position"].as_u64().unwrap()).collect()
}

/// Missions J4, J6, A3, A4, A6: a row has a sentence and fields; events of a removed member stay.
fn the_audit_log_shows_sentences_and_fields(place: &Place) {
    let server = Server::with_history(place);
    let text = server.ok(&["audit"]);
    for (line, sentence) in text.lines().zip([
        "user:alice created project:7, called Vaccines",
        "user:alice added user:bob to project:7 as developer",
        "user:alice added user:eve to project:7 as collaborator",
        "user:carol changed user:bob's roles on project:7 from developer to coordinator",
        "user:carol removed user:eve from project:7",
    ]) {
        assert!(line.ends_with(sentence), "{line}");
    }
    let page = server.json(&["audit", "--event", "project_member.roles_updated"]);
    let row = &page[0];
    assert_eq!(row["actor"], "user:carol");
    assert_eq!(row["action"], "update");
    assert_eq!(row["topic"], "project/member");
    assert_eq!(row["aggregate"], "project:7");
    assert_eq!(row["targets"], serde_json::json!(["project:7", "user:bob"]));
    assert_eq!(row["changes"][0]["field"], "roles");
    assert_eq!(row["changes"][0]["from"], serde_json::json!(["developer"]));
    assert_eq!(row["changes"][0]["to"], serde_json::json!(["coordinator"]));
    assert_eq!(row["payload"]["user"], "user:bob");
    assert_eq!(positions(&server.json(&["audit", "--target", "user:eve"])), [3, 5]);
    assert_eq!(positions(&server.json(&["audit", "--actor", "user:alice"])), [1, 2, 3]);
    assert_eq!(positions(&server.json(&["audit", "--action", "delete"])), [5]);
    assert_eq!(positions(&server.json(&["audit", "--topic", "project", "--newest-first", "--limit", "2"])), [5, 4]);
    assert_eq!(positions(&server.json(&["audit", "--from", "2", "--until", "4"])), [2, 3]);
    assert_eq!(positions(&server.json(&["audit", "--actor", "user:nobody"])), [0; 0]);
}

/// Mission P12.
fn pages_follow_one_another_by_cursor(place: &Place) {
    let server = Server::with_history(place);
    let first = server.run(&["audit", "--limit", "3", "--format", "json"]);
    let cursor = first.err.split("--cursor ").nth(1).unwrap().trim();
    let second = server.run(&["audit", "--limit", "3", "--cursor", cursor, "--format", "json"]);
    let rows = |answer: &Answer| positions(&serde_json::from_str(&answer.out).unwrap());
    assert_eq!([rows(&first), rows(&second)].concat(), [1, 2, 3, 4, 5]);
    assert_eq!(second.err, "", "the last page has no cursor");
}

fn rows_come_as_json_lines_and_csv_too(place: &Place) {
    let server = Server::with_history(place);
    let lines = server.ok(&["audit", "--format", "jsonl"]);
    assert_eq!(lines.lines().count(), 5);
    let row: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(row["sentence"], "user:alice created project:7, called Vaccines");
    let keys: Vec<&str> = lines.lines().next().unwrap().split('"').skip(1).step_by(4).collect();
    assert_eq!(keys.first(), Some(&"position"));
    let csv = server.ok(&["audit", "--format", "csv"]);
    assert!(
        csv.starts_with("\"position\",\"event_id\",\"recorded_at\",\"actor\",\"action\",\"targets\","),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 6);
}

/// Missions A5 in part and A12: hostile text is stored unchanged and printed escaped.
fn hostile_text_is_inert_on_a_terminal_and_in_a_spreadsheet(place: &Place) {
    let server = Server::new(place);
    let body = serde_json::json!({ "project": "=1+1", "name": "a\u{1b}[31m\u{202e}b\nc" }).to_string();
    server.execute("create_project", &body, "user:mal\u{202e}lory");
    let text = server.ok(&["audit"]);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.lines().count() == 1, "{text:?}");
    let page = server.json(&["audit"]);
    assert_eq!(page[0]["payload"]["name"], "a\u{1b}[31m\u{202e}b\nc");
}

fn a_new_row_appears_in_a_followed_log(place: &Place) {
    let server = Server::with_history(place);
    let mut follower =
        server.command(&["audit", "--follow", "--limit", "6"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    for _ in 0..5 {
        lines.next().unwrap().unwrap();
    }
    server.execute("create_project", r#"{"project":"8","name":"Late"}"#, "user:dan");
    let line = lines.next().unwrap().unwrap();
    assert!(line.ends_with("user:dan created project:8, called Late"), "{line}");
    assert!(follower.wait().unwrap().success(), "the limit ends the program");
}

/// An ending signal ends the program with success and without a partial row.
fn each_ending_signal_ends_a_followed_log(place: &Place) {
    let server = Server::with_history(place);
    for signal in ["-INT", "-TERM", "-HUP", "-QUIT"] {
        let mut follower = server.command(&["audit", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let ending = Command::new("kill").args([signal, &follower.id().to_string()]).status();
        assert!(ending.unwrap().success() && lines.all(|line| line.unwrap().contains("user:")));
        assert!(follower.wait().unwrap().success(), "{signal} ends the program");
    }
}

/// An answer without rows says so.
fn where_there_is_nothing_the_program_says_so(place: &Place) {
    let server = Server::with_history(place);
    let lineage = server.ok(&["lineage", "project:7"]);
    assert!(
        lineage.contains("no recorded export includes project:7: this application does not record"),
        "{lineage}"
    );
    assert_eq!(server.json(&["lineage", "project:7"]), serde_json::json!([]));
    assert_eq!(server.ok(&["projections", "dead-letters", "roster"]), "roster has no dead letters\n");
    assert_eq!(server.json(&["projections", "dead-letters", "roster"]), serde_json::json!([]));
}

/// Mission X2, in the shell.
fn the_same_command_id_prints_the_first_receipt_again(place: &Place) {
    let server = Server::new(place);
    let id = "0198c0de-0000-7000-8000-000000000001";
    let arguments =
        ["execute", "create_project", r#"{"project":"7","name":"V"}"#, "--actor", "user:a", "--command-id", id];
    let (first, again) = (server.json(&arguments), server.json(&arguments));
    assert_eq!((&first["head"], &first["repeated"]), (&again["head"], &Value::from(false)));
    assert_eq!(again["repeated"], true);
    let other =
        ["execute", "create_project", r#"{"project":"8","name":"V"}"#, "--actor", "user:a", "--command-id", id];
    server.refused(&other, "was used before with another command or body");
}

fn metrics_views_projections_events_and_check_do_what_they_say(place: &Place) {
    let server = Server::with_history(place);
    let metric = server.json(&["metrics", "project/member"]);
    assert_eq!((&metric["total"], &metric["by_action"]["create"]), (&Value::from(4), &Value::from(2)));
    assert_eq!(metric["head"]["position"], 5);
    assert_eq!(server.json(&["metrics", "/", "--from", "2", "--until", "4"])["total"], 2);

    let roster = server.json(&["view", "roster", "7"]);
    assert_eq!(roster["members"], serde_json::json!({ "user:bob": ["coordinator"] }));
    assert!(server.ok(&["view", "roster"]).starts_with("7\t{"));

    let status = server.json(&["projections", "status"]);
    let names: Vec<_> = status.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["audit", "flows", "metrics", "provenance", "reaction_admission", "roster"]);
    let before = server.ok(&["view", "roster"]);
    assert_eq!(server.json(&["projections", "rebuild", "--all"]).as_array().unwrap().len(), 6);
    assert_eq!(server.ok(&["view", "roster"]), before);

    let made_of = server.ok(&["provenance", "project:7"]);
    assert!(made_of.contains("project:7 after its event 1 was made by create_project\n"), "{made_of}");
    assert!(made_of.contains("create_project was done by user:alice\n"), "{made_of}");

    assert_eq!(server.ok(&["events", "--from", "4"]).lines().count(), 2);
    let events = server.ok(&["events", "--aggregate", "project/7", "--format", "json"]);
    assert_eq!(events.lines().count(), 5);
    assert!(server.ok(&["check"]).contains("5 events checked, 0 findings"));
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let server = Server::with_history(&Place::sqlite());
    server.ok(&["backup", "copy.db"]);
    assert!(server.ok(&["check", "--store", "sqlite://copy.db"]).contains("5 events checked, 0 findings"));
    server.refused(&["backup", "copy.db"], "copy.db");
}

/// Mission J9: an edit that bypasses the triggers is found.
#[test]
fn check_finds_an_edit_by_raw_sql() {
    let server = Server::with_history(&Place::sqlite());
    let log = rusqlite(&server.path().join("job_server.db"));
    let error = log.execute("UPDATE events SET payload = '{}' WHERE position = 2", []).unwrap_err();
    assert!(error.to_string().contains("immutable") || error.to_string().contains("never"), "{error}");
    let triggers: Vec<String> = log
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for trigger in triggers {
        log.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).unwrap();
    }
    let forged = r#"{"user":"user:mallory","roles":["developer"]}"#;
    log.execute("UPDATE events SET payload = ?1 WHERE position = 2", [forged]).unwrap();
    drop(log);
    let answer = server.run(&["check"]);
    assert!(
        !answer.ok && answer.out.contains('2') && answer.err.contains("not as it was written"),
        "{}",
        answer.out
    );
}

/// Mission J9 on Postgres: the owner of the table can disable the triggers.
#[test]
fn check_finds_an_edit_by_raw_sql_on_postgres() {
    let place = Place::postgres();
    let (server, schema) = (Server::with_history(&place), place.schema().unwrap());
    for edit in ["UPDATE events SET payload = '{}' WHERE position = 2", "DELETE FROM events", "TRUNCATE events"] {
        let error = schema.try_sql(edit).unwrap_err();
        assert!(error.contains("immutable") || error.contains("never"), "{error}");
    }
    let forged = r#"{"user":"user:mallory","roles":["developer"]}"#;
    schema.sql(&format!(
        "ALTER TABLE events DISABLE TRIGGER ALL; UPDATE events SET payload = '{forged}' WHERE position = 2"
    ));
    let answer = server.run(&["check"]);
    assert!(
        !answer.ok && answer.out.contains('2') && answer.err.contains("not as it was written"),
        "{}",
        answer.out
    );
}

fn rusqlite(file: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(file).unwrap()
}

fn bad_input_gives_a_clear_error_and_writes_nothing(place: &Place) {
    let server = Server::with_history(place);
    let good = r#"{"project":"9","name":"N"}"#;
    let by = ["--actor", "user:a"];
    let execute = |name: &str, body: &str, words: &str| {
        server.refused(&[&["execute", name, body][..], &by[..]].concat(), words);
    };
    execute("create_projekt", good, "there is no command `create_projekt`; the application has: `add_member`");
    execute("create_project", "{", "invalid body of the command `create_project`");
    execute("create_project", r#"{"project":"9","name":9}"#, "field `name`: 9 is not text");
    execute("create_project", r#"{"project":"9"}"#, "missing field `name`");
    execute("create_project", r#"{"project":"9","name":"N","naem":"M"}"#, "no field `naem`");
    execute(
        "create_project",
        &format!(r#"{{"project":"{}","name":"N"}}"#, "x".repeat(1_025)),
        "1025 bytes is too long",
    );
    execute("create_project", r#"{"project":"a\u0000b","name":"N"}"#, "NUL");
    execute("create_project", r#"{"project":"7","name":"N"}"#, "project:7 already exists");
    execute("create_project", r#"{"project":"9","name":" "}"#, "must not be blank");
    server.refused(&["execute", "create_project", good], "--actor");
    server.refused(&["execute", "create_project", good, "--actor", "alice"], "is not a reference");
    server.refused(&["audit", "--topic", "project/membre"], "project/membre");
    server.refused(&["audit", "--topic", "a//b"], "a//b");
    server.refused(&["audit", "--event", "project_member.moved"], "project_member.moved");
    server.refused(&["audit", "--action", "destroy"], "destroy");
    server.refused(&["audit", "--limit", "0"], "0");
    server.refused(&["audit", "--from", "4", "--until", "2"], "before");
    server.refused(&["audit", "--from", "2026-01-01T00:00:00"], "zone");
    server.refused(&["audit", "--follow", "--newest-first"], "follow");
    server.refused(&["audit", "--cursor", "nonsense"], "cursor");
    let first = server.run(&["audit", "--limit", "2"]);
    let cursor = first.err.split("--cursor ").nth(1).unwrap().trim();
    server.refused(&["audit", "--actor", "user:alice", "--cursor", cursor], "another query");
    server.refused(&["metrics", "project/membre"], "project/membre");
    server.refused(&["view", "rooster"], "rooster");
    server.refused(&["view", "roster", "99"], "no document `99`");
    server.refused(&["projections", "rebuild", "rooster"], "rooster");
    server.refused(&["events", "--aggregate", "project-7"], "write its type, a slash and its id");
    assert_eq!(server.ok(&["events"]).lines().count(), 5);
}

#[test]
fn a_store_that_cannot_be_used_gives_a_clear_error() {
    let server = Server::new(&Place::sqlite());
    let create = |store: &str| {
        let body = r#"{"project":"9","name":"N"}"#;
        server.run(&["execute", "create_project", body, "--actor", "user:a", "--store", store])
    };
    assert!(create("mysql://x").err.contains("is not the URL of a store"));
    assert!(!create("sqlite://no/such/folder/x.db").ok);
    std::fs::write(server.path().join("text.db"), "this is no database, and longer than a header is".repeat(9))
        .unwrap();
    assert!(create("sqlite://text.db").err.contains("text.db"));
    rusqlite(&server.path().join("foreign.db")).execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(create("sqlite://foreign.db").err.contains("foreign.db"));
    for reads in [&["audit"][..], &["check"], &["events"], &["projections", "status"], &["metrics", "/"]] {
        server.refused(reads, "there is no store");
    }
    assert!(!server.path().join("job_server.db").exists(), "a subcommand that only reads creates no store");
    assert!(create("sqlite://ok.db").ok);
    rusqlite(&server.path().join("ok.db")).pragma_update(None, "user_version", 1_000).unwrap();
    assert!(create("sqlite://ok.db").err.contains("newer"));
}

/// Hostile text is stored unchanged and cannot act on a terminal or a spreadsheet in any format.
fn hostile_text_is_shown_safely_in_every_format(place: &Place) {
    let server = Server::new(place);
    let hostile = "=HYPERLINK(\"x\")\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\r\nname";
    let body = serde_json::json!({ "project": hostile, "name": hostile }).to_string();
    server.execute("create_project", &body, "user:alice");
    for format in ["text", "csv", "json", "jsonl"] {
        let out = server.ok(&["audit", "--format", format]);
        let acts = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!out.contains(acts), "{format}: {out:?}");
    }
    let row: Value = serde_json::from_str(&server.ok(&["audit", "--format", "jsonl"])).unwrap();
    assert_eq!(row["aggregate"], format!("project:{hostile}"));
    let csv = server.ok(&["audit", "--format", "csv"]);
    assert!(csv.lines().skip(1).all(|line| !line.contains(",=") && !line.contains(",\"=")), "{csv}");
    let answer = server.run(&["execute", "create_project", &body, "--actor", "user:alice"]);
    assert!(!answer.ok && !answer.err.contains(|c: char| c.is_control() && c != '\n'), "{:?}", answer.err);
}
