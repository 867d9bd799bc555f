//! `projections` and `view` on the command line: partial rebuilds, dead letters, unused versions, pages.

mod common;

use annals_test_postgres::Place;
use common::Server;
use serde_json::json;

fn with_projects() -> Server {
    let server = Server::new(&Place::sqlite());
    for project in ["7", "8"] {
        let body = json!({ "project": project, "name": format!("Project {project}") }).to_string();
        server.execute("create_project", &body, "user:alice");
    }
    server
}

/// Guarantee 23, and bad input.
#[test]
fn one_key_or_one_aggregate_type_is_rebuilt_and_an_unknown_one_is_refused() {
    let server = with_projects();
    let roster = server.json(&["view", "roster"]);
    for part in [["--key", "7"], ["--aggregate", "project"]] {
        let rebuilt = server.json(&[&["projections", "rebuild", "roster"][..], &part].concat());
        assert_eq!(rebuilt, json!([{ "name": "roster", "position": 2 }]));
        assert_eq!(server.json(&["view", "roster"]), roster);
    }
    let rebuild = |part: &[&'static str]| [&["projections", "rebuild"], part].concat();
    server.refused(&rebuild(&["roster", "--key", "99"]), "no event touches the key `99`");
    server.refused(&rebuild(&["roster", "--aggregate", "planet"]), "no event of an aggregate of type `planet`");
    server.refused(&rebuild(&["audit", "--key", "7"]), "the projection `audit` has no keys: rebuild it as a whole");
    server.refused(
        &rebuild(&["rooster"]),
        "there is no projection `rooster`: there are `audit`, `flows`, `metrics`, `provenance`, `reaction_admission`, `roster`",
    );
    assert_eq!(server.json(&["projections", "status"])[5]["generation"], 1, "in place");
    let all = server.json(&["projections", "rebuild", "--all", "--keep-skips"]);
    assert_eq!(all.as_array().unwrap().len(), 6);
}

#[test]
fn dead_letters_and_unused_versions_are_listed_and_an_empty_list_is_no_error() {
    let server = with_projects();
    server.ok(&["view", "roster"]);
    let status = server.ok(&["projections", "status"]);
    assert!(status.contains("roster") && status.contains("at 2 of 2 (lag 0)  live"), "{status}");
    server.refused(&["projections", "skip", "roster"], "`roster` has not stopped: there is no event to skip");
    assert_eq!(server.json(&["projections", "dead-letters", "roster"]), json!([]));
    assert_eq!(server.json(&["projections", "replay", "roster"]), json!({ "name": "roster", "events": 0 }));
    assert_eq!(server.json(&["projections", "prune", "--dry-run"]), json!([]));
    assert_eq!(server.ok(&["projections", "prune"]), "no unused versions\n");
    server.refused(&["projections", "dead-letters", "rooster"], "there is no projection `rooster`");
}

#[test]
fn a_view_is_printed_in_pages_and_an_undeclared_field_is_refused() {
    let server = with_projects();
    let first = server.run(&["view", "roster", "--limit", "1"]);
    assert!(first.out.starts_with("7\t"));
    let cursor = first.err.trim().strip_prefix("next page: --cursor ").unwrap();
    let second = server.run(&["view", "roster", "--limit", "1", "--cursor", cursor]);
    assert!(second.out.starts_with("8\t"));
    assert_eq!(second.err, "", "the last page has no cursor");
    let backwards = server.ok(&["view", "roster", "--descending"]);
    assert!(backwards.starts_with("8\t") && backwards.lines().count() == 2, "{backwards}");
    server.refused(&["view", "roster", "--descending", "--cursor", cursor], "to another query");
    server.refused(&["view", "roster", "--filter", "colour=red"], "`roster` has no field `colour`");
    server.refused(&["view", "roster", "--filter", "colour"], "write FIELD=VALUE");
    server.refused(&["view", "roster", "--limit", "0"], "--limit must be at least 1");
}
