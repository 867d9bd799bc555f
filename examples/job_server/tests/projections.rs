//! `projections` and `view` on the command line: parts made anew, what is left out, what is unused, pages.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

struct Server(TempDir);

impl Server {
    fn with_projects() -> Self {
        let server = Self(tempfile::tempdir().unwrap());
        for project in ["7", "8"] {
            let body = json!({ "project": project, "name": format!("Project {project}") }).to_string();
            server.ok(&["execute", "create_project", &body, "--actor", "user:alice"]);
        }
        server
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job_server"));
        command.args(arguments).current_dir(&self.0).env_remove("ANNALS_STORE").output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
}

/// Guarantee 23, and issue 4's bad input.
#[test]
fn a_key_or_a_type_of_aggregate_is_rebuilt_alone_and_an_unknown_one_is_refused() {
    let server = Server::with_projects();
    let roster = server.json(&["view", "roster"]);
    for part in [["--key", "7"], ["--aggregate", "project"]] {
        let rebuilt = server.json(&[&["projections", "rebuild", "roster"][..], &part].concat());
        assert_eq!(rebuilt, json!([{ "name": "roster", "position": 2 }]));
        assert_eq!(server.json(&["view", "roster"]), roster);
    }
    let rebuild = |part: &[&'static str]| [&["projections", "rebuild"], part].concat();
    server.refused(&rebuild(&["roster", "--key", "99"]), "no event touches the key `99`");
    server.refused(&rebuild(&["roster", "--aggregate", "planet"]), "no event of an aggregate `planet`");
    server.refused(&rebuild(&["audit", "--key", "7"]), "`audit` keeps nothing by key: rebuild it as a whole");
    server.refused(
        &rebuild(&["rooster"]),
        "there is no projection `rooster`: there are `audit`, `metrics`, `roster`",
    );
    assert_eq!(server.json(&["projections", "status"])[2]["generation"], 1, "in place");
    let all = server.json(&["projections", "rebuild", "--all", "--keep-skips"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
}

#[test]
fn what_is_left_out_or_unused_is_listed_and_nothing_is_no_error() {
    let server = Server::with_projects();
    server.ok(&["view", "roster"]);
    let status = server.ok(&["projections", "status"]);
    assert!(status.contains("roster") && status.contains("at 2 of 2 (0 behind)  live"), "{status}");
    server.refused(&["projections", "skip", "roster"], "`roster` has not stopped: there is nothing to leave out");
    assert_eq!(server.json(&["projections", "letters", "roster"]), json!([]));
    assert_eq!(server.json(&["projections", "replay", "roster"]), json!({ "name": "roster", "events": 0 }));
    assert_eq!(server.json(&["projections", "prune", "--dry-run"]), json!([]));
    assert_eq!(server.ok(&["projections", "prune"]), "nothing is unused\n");
    server.refused(&["projections", "letters", "rooster"], "there is no projection `rooster`");
}

/// Issue 4, part 5.
#[test]
fn a_view_is_printed_in_pages_and_an_undeclared_field_is_refused() {
    let server = Server::with_projects();
    let first = server.run(&["view", "roster", "--limit", "1"]);
    assert!(String::from_utf8_lossy(&first.stdout).starts_with("7\t"));
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    let cursor = said.trim().strip_prefix("more: --cursor ").unwrap();
    let second = server.run(&["view", "roster", "--limit", "1", "--cursor", cursor]);
    assert!(String::from_utf8_lossy(&second.stdout).starts_with("8\t"));
    assert_eq!(String::from_utf8_lossy(&second.stderr), "", "there are no more");
    let backwards = server.ok(&["view", "roster", "--descending"]);
    assert!(backwards.starts_with("8\t") && backwards.lines().count() == 2, "{backwards}");
    server.refused(&["view", "roster", "--descending", "--cursor", cursor], "of another query");
    server.refused(&["view", "roster", "--filter", "colour=red"], "`roster` has no field `colour`");
    server.refused(&["view", "roster", "--filter", "colour"], "write FIELD=VALUE");
    server.refused(&["view", "roster", "--limit", "0"], "a limit of 0 asks for nothing");
}

/// Help teaches: an example in each.
#[test]
fn help_has_an_example_for_each_subcommand() {
    let server = Server(tempfile::tempdir().unwrap());
    for subcommand in ["status", "rebuild", "resume", "skip", "letters", "replay", "prune"] {
        let help = server.ok(&["projections", subcommand, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("projections {subcommand}")), "{help}");
    }
}
