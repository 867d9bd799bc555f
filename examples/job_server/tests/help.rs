//! What teaches the command line: help, examples, completions, manual pages, and fields as options.

mod common;

use annals_test_postgres::Place;
use common::Server;
use serde_json::{Value, json};

fn server() -> Server {
    Server::new(&Place::sqlite())
}

/// The names of the subcommands in a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").collect()
}

#[test]
fn every_subcommand_has_help_with_an_example_that_names_the_program() {
    let server = server();
    let mut paths: Vec<Vec<String>> = vec![vec![]];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        let arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = server.ok(&[&arguments[..], &["--help"]].concat());
        let below = subcommands(&help);
        let example = format!("  job_server {}", path.join(" "));
        assert!(help.contains("Example") || path == ["execute"], "{path:?}: {help}");
        assert!(help.contains(&example) || path == ["execute"], "{path:?}: {help}");
        paths.extend(below.iter().map(|name| [&path[..], &[(*name).to_owned()]].concat()));
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
    assert!(server.ok(&["--help"]).contains("synchronous=FULL"));
}

/// The examples are run as they are printed, in an order in which each is possible.
#[test]
fn every_example_that_commands_prints_works() {
    let server = server();
    let listed = server.json(&["commands"]);
    assert!(listed[0]["schema"]["properties"]["roles"].is_object());
    let mut examples: Vec<&str> =
        listed.as_array().unwrap().iter().map(|command| command["example"].as_str().unwrap()).collect();
    let order = |line: &&str| {
        let names = [
            "create_",
            "apply_",
            "review_",
            "admit_",
            "withdraw_",
            "lapse_",
            "add_",
            "update_member",
            "remove_",
            "close_",
            "update_user",
            "clear_",
        ];
        names.iter().position(|name| line.contains(name)).unwrap()
    };
    examples.sort_by_key(order);
    assert_eq!(examples.len(), 12);
    assert_eq!(
        examples[6],
        "job_server execute add_member --project 7 --user bob --roles developer --actor user:alice"
    );
    let text = server.ok(&["commands"]);
    for example in examples {
        assert!(text.contains(example), "{text}");
        let answer = server.shell(example);
        // Two are not for Alice.
        let refusals = [("review_", "user:alice is not a reviewer"), ("lapse_", "an application lapses by itself")];
        match refusals.iter().find(|(name, _)| example.contains(name)) {
            Some((_, reason)) => assert!(!answer.ok && answer.err.contains(reason), "{example}: {}", answer.err),
            None => assert!(answer.ok, "{example}: {}", answer.err),
        }
    }
    assert!(text.contains("--roles    Roles of the member (a list of developer or collaborator or"), "{text}");
}

#[test]
fn fields_are_options_or_json() {
    let server = server();
    let by = |line: &str| server.shell(&format!("job_server execute {line} --actor user:alice"));
    assert!(by("create_project --project 7 --name 'Vaccines, new'").ok);
    assert!(by("add_member --project 7 --user bob --roles developer,coordinator").ok);
    assert!(by("add_member --project 7 --user eve --roles developer --roles output_checker").ok);
    assert!(by(r#"add_member --project 7 --user zoe --roles '["developer"]'"#).ok);
    assert!(by("add_member --project 7 --user max --roles ''").ok);
    assert!(by(r#"add_member '{"project":"7","user":"ann","roles":["developer"]}'"#).ok);
    let roster = server.json(&["view", "roster", "7"]);
    assert_eq!(roster["name"], "Vaccines, new");
    assert_eq!(
        roster["members"],
        json!({
            "user:ann": ["developer"],
            "user:bob": ["developer", "coordinator"],
            "user:eve": ["developer", "output_checker"],
            "user:max": [],
            "user:zoe": ["developer"],
        })
    );
    for (line, words) in [
        ("add_member --project 7 --user kim", "missing field `roles`, a list of developer or collaborator or"),
        (
            "add_member --project 7 --roles developer",
            "missing field `user`, text, user id: `user:…` or the bare id",
        ),
        ("add_member --project 7 --user kim --roles boss", "field `roles`: `boss` is not a list of developer"),
        ("add_member --project 7 --user kim --roles boss", "for example --roles developer"),
        ("add_member --project 7 --usr kim --roles developer", "a similar argument exists: '--user'"),
        ("add_member '{}' --project 7", "as JSON or as options, not both"),
        (r#"create_project '{"project":"9","name":9}'"#, "field `name`: 9 is not text; for example --name"),
        ("create_project {", "for example job_server execute create_project --project 7 --name"),
    ] {
        let answer = by(line);
        assert!(!answer.ok && answer.err.contains(words), "{line}: {}", answer.err);
    }
    assert_eq!(server.ok(&["events"]).lines().count(), 6, "a mistake writes nothing");
}

#[test]
fn common_options_stand_before_or_after_the_subcommand() {
    let server = Server::with_history(&Place::sqlite());
    std::fs::rename(server.path().join("job_server.db"), server.path().join("log.db")).unwrap();
    let store = ["--store", "sqlite://log.db"];
    let after = server.ok(&[&["projections", "status"], &store[..]].concat());
    assert_eq!(server.ok(&[&store[..], &["projections", "status"]].concat()), after);
    assert_eq!(server.ok(&[&["projections"], &store[..], &["status"]].concat()), after);
    let create = ["execute", "create_project", "--project", "8", "--name", "N"];
    server.ok(&[&["--as", "user:zoe"], &store[..], &create].concat());
    assert!(server.ok(&[&store[..], &["audit"]].concat()).contains("user:zoe created project:8"));
    server.refused(&[&store[..], &["--as", "zoe", "audit"]].concat(), "is not a reference");
    let json = server.ok(&[&["--format", "json"], &store[..], &["view", "roster", "8"]].concat());
    assert_eq!(json, server.ok(&[&["view", "roster", "8", "--format", "json"], &store[..]].concat()));
    assert!(server.ok(&[&["--format", "csv", "audit"], &store[..]].concat()).starts_with("\"position\","));
    server.refused(
        &[&["--format", "csv", "check"], &store[..]].concat(),
        "`check` has no format `csv`: use one of text, json",
    );
}

#[test]
fn metrics_without_a_topic_are_those_of_the_whole_log_and_counts_have_the_right_number() {
    let server = server();
    server.execute("create_project", r#"{"project":"7","name":"N"}"#, "user:alice");
    let text = server.ok(&["metrics"]);
    assert!(text.starts_with("1 event in the whole log from "), "{text}");
    for words in ["1 actor, the busiest", "mean: none, the window is shorter than a minute"] {
        assert!(text.contains(words), "{text}");
    }
    server.execute("create_project", r#"{"project":"8","name":"N"}"#, "user:alice");
    let total = |arguments: &[&str]| server.json(arguments)["total"].clone();
    assert_eq!(total(&["metrics"]), 2);
    assert_eq!(total(&["metrics"]), total(&["metrics", "/"]));
    assert!(server.ok(&["metrics"]).starts_with("2 events in the whole log from "));
    assert!(server.ok(&["audit", "--count"]).starts_with("2 events by 1 actor\n"));
}

#[test]
fn times_have_six_digits_so_that_columns_are_aligned() {
    let server = Server::with_history(&Place::sqlite());
    for line in server.ok(&["audit"]).lines().chain(server.ok(&["events"]).lines()) {
        let time = line.split(' ').nth(1).unwrap();
        assert_eq!(time.len(), "2026-11-21T04:50:11.482913Z".len(), "{line}");
    }
}

/// Bash itself loads the script and completes with it.
#[test]
fn bash_completes_subcommands_commands_fields_and_choices() {
    let server = server();
    let complete = |words: &[&str]| {
        let (words, last) = (words.join(" "), words.len());
        let answer = server.shell(&format!(
            "source <(job_server completions bash) && complete -p job_server >&2 && \
             COMP_WORDS=(job_server {words} '') COMP_CWORD={} && _job_server job_server '' {last_word} && \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            last + 1,
            last_word = words.split(' ').next_back().unwrap(),
        ));
        assert!(answer.ok && answer.err.contains("_job_server"), "{words}: {}", answer.err);
        answer.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(complete(&["projections"]).contains(&"rebuild".to_owned()));
    assert!(complete(&["execute"]).contains(&"add_member".to_owned()));
    assert!(complete(&["execute", "add_member"]).contains(&"--roles".to_owned()));
    assert!(complete(&["execute", "add_member", "--roles"]).contains(&"output_checker".to_owned()));
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(server.ok(&["completions", shell]).contains("add_member"), "{shell}");
    }
}

/// A formatter of manual pages reads each page without a warning, where one is installed.
#[test]
fn manual_pages_are_read_by_a_formatter() {
    let server = server();
    for page in ["", "execute", "execute add_member", "projections rebuild"] {
        assert!(server.shell(&format!("job_server man {page}")).out.contains(".SH"), "{page}");
        let format =
            "if command -v groff >&2; then groff -K utf8 -man -Tutf8 -ww -P-b -P-c -P-o -P-u; else cat; fi";
        let answer = server.shell(&format!("job_server man {page} | {{ {format} 2> warnings; }}"));
        assert!(answer.ok && answer.out.contains("OPTIONS"), "{page}: {}", answer.err);
        let warnings = std::fs::read_to_string(server.path().join("warnings")).unwrap();
        assert!(!warnings.contains("warning") && !warnings.contains("error"), "{page}: {warnings}");
    }
    server.refused(&["man", "fly"], "there is no subcommand `fly`");
}

/// A list of values is JSON for a program that reads it.
#[test]
fn commands_are_listed_as_json_too() {
    let listed: Value = server().json(&["commands", "add_member"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["summary"]),
        (&json!("add_member"), &json!("Give a user roles on a project"))
    );
    server().refused(
        &["commands", "add_membre"],
        "there is no command `add_membre`; the application has: `add_member`",
    );
}
