//! The command line: each subcommand with each of its options, from the tree of its parser, in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Arg, ArgAction};
use serde_json::{Value, json};

use crate::asking::{Answered, Answers};
use crate::values::{Known, text, values};
use crate::vault;

/// Subcommands that print nothing of the log, or are tried elsewhere.
const LEFT_OUT: [(&str, &str); 6] = [
    ("serve", "does not end; its routes are tried over HTTP"),
    ("execute", "executes a command: each asks for itself"),
    ("commands", "prints what the program declares"),
    ("completions", "prints what the program declares"),
    ("man", "prints what the program declares"),
    ("migrate", "makes the log; needs a log of another library"),
];

/// What a subcommand needs: by its name, its arguments.
fn needed(subcommand: &str, directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let all: &[&str] = match subcommand {
        "export " => &["--format", "jsonl", "--to", "-"],
        "lineage " => &["file:1"],
        "view " => &["texts"],
        "backup " => return vec![file("copy.db")],
        "projections rebuild "
        | "projections resume "
        | "projections skip "
        | "projections dead-letters "
        | "projections replay " => &["texts"],
        // Only shows what it would remove.
        "projections prune " => &["--dry-run"],
        _ => &[],
    };
    all.iter().map(|argument| (*argument).to_owned()).collect()
}

/// Options that cannot be combined with what the subcommand needs, or would not end.
const NOT_ALONE: [(&str, &str, &[&str]); 6] = [
    ("audit ", "follow", &["--limit", "3"]),
    ("export ", "bom", &["--format", "csv"]),
    ("view ", "descending", &["--order", "text"]),
    ("metrics ", "replace", &["--plot", "DIRECTORY/plot.svg"]),
    ("metrics ", "anomalies", &["--from", "2026-01-01", "--until", "2026-01-02"]),
    ("metrics ", "slices", &["--from", "2026-01-01", "--until", "2026-01-02"]),
];

/// All calls: a label, and the arguments.
pub fn calls(known: &Known, directory: &Path) -> Vec<(String, Vec<String>)> {
    let command_line = vault::app().command_line();
    let mut calls = Vec::new();
    for subcommand in command_line.get_subcommands() {
        let name = subcommand.get_name();
        if name == "help" || LEFT_OUT.iter().any(|(left_out, _)| *left_out == name) {
            continue;
        }
        let inner: Vec<&clap::Command> =
            subcommand.get_subcommands().filter(|it| it.get_name() != "help").collect();
        match inner.is_empty() {
            true => of_one(&format!("{name} "), subcommand, known, directory, &mut calls),
            false => inner.into_iter().for_each(|inner| {
                of_one(&format!("{name} {} ", inner.get_name()), inner, known, directory, &mut calls)
            }),
        }
    }
    assert!(calls.iter().any(|(label, _)| label == "audit --text secret"), "{calls:?}");
    calls
}

fn of_one(
    name: &str,
    command: &clap::Command,
    known: &Known,
    directory: &Path,
    calls: &mut Vec<(String, Vec<String>)>,
) {
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
pub fn ask_all(url: &str, calls: &[(String, Vec<String>)], actor: &str, directory: &Path) -> Answers {
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
        let mut bytes = out[&number].clone();
        bytes.extend(&err[&number]);
        let status =
            if bytes.windows(12).any(|it| it == b"ExitCode(0)\n") || bytes.ends_with(b"done") { 0 } else { 1 };
        answers.insert(format!("CLI {label}"), Answered { status, bytes });
    }
    answers
}

/// What was printed, by the number of the call.
fn by_call(printed: &[u8]) -> BTreeMap<usize, Vec<u8>> {
    let mut parts = printed.split(|byte| *byte == MARK as u8).skip(1);
    let mut found = BTreeMap::new();
    while let (Some(number), Some(bytes)) = (parts.next(), parts.next()) {
        found.insert(std::str::from_utf8(number).unwrap().parse().unwrap(), bytes.to_vec());
        parts.next();
    }
    found
}

#[tokio::test]
#[ignore = "the other test runs it as a process of its own"]
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
