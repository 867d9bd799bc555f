//! The command line: each subcommand with each of its options, from the tree of its parser, in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Arg, ArgAction};
use serde_json::{Value, json};

use crate::asking::{Answered, Answers};
use crate::values::{Known, text, values};
use crate::vault;

/// Subcommands that print nothing of the log, or are tried elsewhere.
const LEFT_OUT: [(&str, &str); 8] = [
    ("access keys", "changes or prints a file that has nothing of the log"),
    ("proofs init", "makes a file that has nothing of the log"),
    ("verify", "reads a folder or a file, and no log"),
    ("serve", "does not end; its routes are tried over HTTP"),
    ("commands", "prints what the program declares"),
    ("completions", "prints what the program declares"),
    ("man", "prints what the program declares"),
    ("migrate", "makes the log; needs a log of another library"),
];

/// A time that is over.
const PAST: &str = "2020-01-01T00:00:00Z";

/// The id of nothing.
const NO_ID: &str = "0192f0c1-2d3e-7000-8000-000000000001";

/// What a subcommand needs: by its name, its arguments.
fn needed(subcommand: &str, directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let all: &[&str] = match subcommand {
        "export " => &["--format", "jsonl", "--to", "-"],
        "lineage " | "provenance " => &["file:1"],
        "view " => &["texts"],
        "show " => &["file:1"],
        // It is refused, for a reason that shows a value.
        "execute write_file " => &["--file", "1", "--event", "no event"],
        "backup " => return vec![file("copy.db")],
        "projections rebuild "
        | "projections resume "
        | "projections skip "
        | "projections dead-letters "
        | "projections replay " => &["texts"],
        // There is no reaction.
        "reactions pending " => &["none"],
        "reactions skip " | "reactions replay " => &["none", NO_ID, "--why", "a reason"],
        // There is no feed and no intake.
        "feeds pause " | "feeds resume " | "intakes pause " | "intakes resume " => &["none", "--why", "a reason"],
        "intakes replay " => &["none", "1", "--why", "a reason"],
        // Each is refused, and writes nothing: the owner was named, the time is over, there is no such request or grant, no file, no
        // reason.
        "access init " => &["user:dan", "--why", "a reason"],
        "access confirm " => &["--access-keys", "no file", "--why", "a reason"],
        "execute confirm_access " => &["--why", ""],
        "execute name_owner " => &["--owner", "user:root", "--why", "a reason"],
        "execute remove_owner " => &["--owner", "user:dan", "--why", "a reason"],
        "access request " => &["catalogue", "--until", PAST, "--why", "a reason"],
        "execute request_access " | "execute grant_access " => {
            &["--grantee", "user:dan", "--rights", "catalogue", "--until", PAST, "--why", "a reason"]
        }
        "access grant " => &["user:dan", "catalogue", "--until", PAST, "--why", "a reason"],
        "access approve " | "access deny " | "access revoke " => &["user:dan", NO_ID, "--why", "a reason"],
        "execute approve_access " | "execute deny_access " => {
            &["--grantee", "user:dan", "--request", NO_ID, "--why", "a reason"]
        }
        "execute revoke_access " => &["--grantee", "user:dan", "--grant", NO_ID, "--why", "a reason"],
        "execute record_token " => {
            &["--grantee", "user:dan", "--grant", NO_ID, "--block", "no block", "--why", "a reason"]
        }
        "execute revoke_token " => &["--grantee", "user:dan", "--block", "no block", "--why", "a reason"],
        "access token " => &[NO_ID, "--access-keys", "no file", "--why", "a reason"],
        "proofs prove " => &["1"],
        // There is no such file.
        "proofs checkpoint " => &["--proofs-key", "no file"],
        "proofs fork " => &["--proofs-key", "no file", "--origin", "example.org/other"],
        // Only shows what it would remove.
        "projections prune " => &["--dry-run"],
        _ => &[],
    };
    all.iter().map(|argument| (*argument).to_owned()).collect()
}

/// Options that cannot be combined with what the subcommand needs, or would not end.
const NOT_ALONE: [(&str, &str, &[&str]); 7] = [
    ("view ", "at", &["1"]),
    ("audit ", "follow", &["--limit", "3"]),
    ("export ", "bom", &["--format", "csv"]),
    ("view ", "descending", &["--order", "text"]),
    ("metrics ", "replace", &["--plot", "DIRECTORY/plot.svg"]),
    ("metrics ", "anomalies", &["--from", "2026-01-01", "--until", "2026-01-02"]),
    ("metrics ", "slices", &["--from", "2026-01-01", "--until", "2026-01-02"]),
];

/// A call of the program: a label, and the arguments.
pub type CallOfProgram = (String, Vec<String>);

/// All calls of all subcommands with each of their options.
pub fn calls(known: &Known, directory: &Path) -> Vec<CallOfProgram> {
    let command_line = vault::shared_app().command_line();
    let (mut calls, mut left_out) = (Vec::new(), BTreeSet::new());
    of_all("", &command_line, known, directory, &mut calls, &mut left_out);
    for (name, why) in LEFT_OUT {
        assert!(left_out.contains(name), "`{name}` ({why}) is no subcommand: remove it from LEFT_OUT");
    }
    assert!(calls.iter().any(|(label, _)| label == "audit --text secret"), "{calls:?}");
    calls
}

/// Calls of the subcommands of a command, and of theirs. `before` is what is written before them.
fn of_all(
    before: &str,
    command: &clap::Command,
    known: &Known,
    directory: &Path,
    calls: &mut Vec<CallOfProgram>,
    left_out: &mut BTreeSet<&'static str>,
) {
    for subcommand in command.get_subcommands().filter(|it| it.get_name() != "help") {
        let name = format!("{before}{}", subcommand.get_name());
        if let Some((name, _)) = LEFT_OUT.iter().find(|(left_out, _)| *left_out == name) {
            left_out.insert(name);
        } else if subcommand.has_subcommands() {
            of_all(&format!("{name} "), subcommand, known, directory, calls, left_out);
        } else {
            of_one(&format!("{name} "), subcommand, known, directory, calls);
        }
    }
}

fn of_one(name: &str, command: &clap::Command, known: &Known, directory: &Path, calls: &mut Vec<CallOfProgram>) {
    let words: Vec<String> = name.split_whitespace().map(str::to_owned).collect();
    let base = needed(name, directory);
    calls.push((name.trim().to_owned(), [words.clone(), base.clone()].concat()));
    let own = |option: &&Arg| option.get_long().is_some() && !option.is_global_set() && !option.is_hide_set();
    for option in command.get_arguments().filter(own) {
        let long = option.get_long().unwrap_or_default();
        if ["help", "version", "to"].contains(&long) || base.contains(&format!("--{long}")) && long != "format" {
            continue;
        }
        let more = NOT_ALONE.iter().find(|(of, other, _)| *of == name && *other == long);
        let more = more.into_iter().flat_map(|(.., more)| more.iter());
        let more: Vec<String> = more.map(|it| it.replace("DIRECTORY", &directory.display().to_string())).collect();
        let mut base = base.clone();
        if let Some(at) = base
            .iter()
            .position(|it| it == "--format")
            .filter(|_| long == "format" || more.contains(&"--format".to_owned()))
        {
            base.drain(at..at + 2);
        }
        if long == "proofs" {
            base.clear();
        }
        for (label, given) in given(name, long, option, known, directory) {
            let arguments = [words.clone(), base.clone(), given, more.clone()].concat();
            calls.push((format!("{name}--{long} {label}"), arguments));
        }
    }
}

/// The ways to give an option.
fn given(name: &str, long: &str, option: &Arg, known: &Known, directory: &Path) -> Vec<(String, Vec<String>)> {
    let flag = format!("--{long}");
    if matches!(option.get_action(), ArgAction::SetTrue) {
        return vec![("set".to_owned(), vec![flag])];
    }
    if long == "plot" {
        return vec![("svg".to_owned(), vec![flag, directory.join("plot.svg").display().to_string()])];
    }
    if long == "proofs" {
        return vec![("folder".to_owned(), vec![flag, directory.join("proofs").display().to_string()])];
    }
    if long == "format" && name == "export " {
        let formats = ["csv", "jsonl", "cloudevents", "ocel"];
        return formats.map(|format| (format.to_owned(), vec![flag.clone(), format.to_owned()])).to_vec();
    }
    let choices: Vec<Value> = option.get_possible_values().iter().map(|value| json!(value.get_name())).collect();
    let schema = if choices.is_empty() { json!({}) } else { json!({ "enum": choices }) };
    let all = values(name, &long.replace('-', "_"), &schema, known);
    all.into_iter().map(|(label, value)| (label, vec![flag.clone(), text(&value)])).collect()
}

/// A mark around the output of a call.
const MARK: char = '\u{1}';

/// Runs all calls as an actor in one process, and returns for each what it printed to stdout and stderr.
pub fn ask_all(url: &str, calls: &[CallOfProgram], actor: &str, directory: &Path) -> Answers {
    let list = directory.join(format!("{}.json", actor.replace(':', "-")));
    let arguments: Vec<Vec<String>> = calls
        .iter()
        .map(|(_, arguments)| {
            let common = ["--store", url, "--as", actor].map(str::to_owned);
            [vec!["vault".to_owned()], arguments.clone(), common.to_vec()].concat()
        })
        .collect();
    std::fs::write(&list, serde_json::to_string(&arguments).unwrap()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["command_line::in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        .env("ANNALS_TEST_CALLS", &list)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (by_call(&child.stdout), by_call(&child.stderr));
    assert_eq!((out.len(), err.len()), (calls.len(), calls.len()), "{}", String::from_utf8_lossy(&child.stderr));
    let mut answers = Answers::new();
    for (number, (label, _)) in calls.iter().enumerate() {
        let (printed, messages) = (&out[&number], &err[&number]);
        let status = u16::from(messages.ends_with(b"failed"));
        let bytes = [&**printed, b"\n", &without_log_lines(messages)].concat();
        assert!(answers.insert(format!("CLI {label}"), Answered { status, bytes }).is_none(), "{label} twice");
    }
    answers
}

/// Messages to the caller. Log lines, which begin with a time, are for those that run the process: a failure is logged with its cause. How
/// long an export took is in no two runs the same.
fn without_log_lines(messages: &[u8]) -> Vec<u8> {
    let took = regex::bytes::Regex::new(r" in [0-9.]+ s, [0-9,]+/s").unwrap();
    let messages = took.replace_all(messages, &b""[..]);
    let is_logged = |line: &&[u8]| line.get(..3).is_some_and(|start| start == b"202" || start == b"\x1b[2");
    messages.split(|byte| *byte == b'\n').filter(|line| !is_logged(line)).collect::<Vec<_>>().join(&b'\n')
}

/// What was printed, by the number of the call.
fn by_call(printed: &[u8]) -> BTreeMap<usize, Vec<u8>> {
    // The test harness prints between the calls how long it takes.
    let harness = regex::bytes::Regex::new("test [a-z_:]+ has been running for over [0-9]+ seconds\n").unwrap();
    let printed = harness.replace_all(printed, &b""[..]);
    let mut parts = printed.split(|byte| *byte == MARK as u8).skip(1);
    let mut found = BTreeMap::new();
    while let (Some(number), Some(bytes)) = (parts.next(), parts.next()) {
        found.insert(std::str::from_utf8(number).unwrap().parse().unwrap(), bytes.to_vec());
        parts.next();
    }
    found
}

#[tokio::test]
#[ignore = "the other tests run it as a process of its own"]
async fn in_a_process_of_its_own() {
    let Ok(list) = std::env::var("ANNALS_TEST_CALLS") else { return };
    let calls: Vec<Vec<String>> = serde_json::from_str(&std::fs::read_to_string(list).unwrap()).unwrap();
    for (number, arguments) in calls.iter().enumerate() {
        print!("{MARK}{number}{MARK}");
        eprint!("{MARK}{number}{MARK}");
        let done = vault::read_app().main_with(arguments).await;
        let succeeded = format!("{done:?}") == format!("{:?}", std::process::ExitCode::SUCCESS);
        print!("{MARK}");
        eprint!("{}{MARK}", if succeeded { "done" } else { "failed" });
    }
}
