//! Texts of others on the command line: nothing acts on a terminal, and JSON keeps its value.

use std::process::Stdio;

use annals::prelude::*;
use annals_test_postgres::Place;
use serde_json::Value;

use crate::bank::{AccountId, Deposit, app};
use crate::process::Process;

annals_test_postgres::both_stores! {
    no_text_acts_on_a_terminal_and_json_keeps_its_value,
}

/// The output of `bank` with these arguments.
pub fn output(place: &Place, arguments: &[&str]) -> String {
    let all = [arguments, &["--store", place.url()]].concat();
    let ended = Process::bank(&all, &[]).stdin(Stdio::null()).output().unwrap();
    let out = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{arguments:?}: {}{out}", String::from_utf8_lossy(&ended.stderr));
    // The lines of the test harness.
    let harness = ["", "running 1 test", "test process::serves ... ok"];
    let lines = out.lines().filter(|line| !harness.contains(line) && !line.starts_with("test result: ok"));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches("test process::serves ... ")).collect();
    lines.join("\n")
}

/// What `bank` says on stderr when it fails with these arguments.
pub fn complaint(place: &Place, arguments: &[&str]) -> String {
    let all = [arguments, &["--store", place.url()]].concat();
    let ended = Process::bank(&all, &[]).stdin(Stdio::null()).output().unwrap();
    assert!(!ended.status.success(), "{arguments:?}");
    String::from_utf8(ended.stderr).unwrap()
}

fn acts(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Mission X52
async fn no_text_acts_on_a_terminal_and_json_keeps_its_value(place: &Place) {
    let id = format!("\u{202e}\u{1b}[2Jgro\u{308}{}{}", "\u{301}".repeat(40), "n".repeat(700));
    let annals = app().open(place.url()).await.unwrap();
    let actor = Context::by(Ref::new("user", &id).unwrap());
    let receipt = annals.execute(Deposit { account: AccountId::new(&id), cents: 5 }, &actor).await.unwrap();
    annals.audit().after(receipt).limit(1).page().await.unwrap();
    annals.close().await;
    let text = [
        vec!["audit"],
        vec!["audit", "--count"],
        vec!["events"],
        vec!["view", "balance"],
        vec!["metrics"],
        vec!["audit", "--format", "csv"],
    ];
    for arguments in &text {
        let shown = output(place, arguments);
        assert!(!shown.contains(acts) && !shown.contains(&"\u{301}".repeat(4)), "{arguments:?}: {shown:?}");
        assert!(shown.contains("\\u{202e}\\u{1b}[2Jgro\u{308}\u{301}"), "{arguments:?}: {shown}");
        let longest = shown.lines().map(|line| line.chars().count()).max();
        assert!(arguments.contains(&"csv") || longest < Some(2_000), "{arguments:?}: {longest:?} characters");
        // A sentence may have 600 characters, a name alone 120.
        let short = shown.contains("… (") && (arguments == &["audit"] || !shown.contains(&"n".repeat(120)));
        assert!(arguments.contains(&"csv") || short, "{arguments:?}: {shown}");
    }
    let json = [
        (vec!["audit", "--format", "json"], "/0/aggregate"),
        (vec!["audit", "--format", "jsonl"], "/aggregate"),
        (vec!["events", "--format", "json"], "/aggregate"),
        (vec!["view", "balance", "--format", "json"], "/0/key"),
        (vec!["metrics", "--format", "json"], "/busiest/actors/0/reference"),
    ];
    for (arguments, at) in &json {
        let shown = output(place, arguments);
        assert!(!shown.contains(acts) && !shown.contains(&"\u{301}".repeat(4)), "{arguments:?}: {shown:?}");
        let value: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        let found = value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at} in {value}"));
        assert!(found.ends_with(&id), "{arguments:?}: {found:?}");
    }
    let hostile = "\u{202e}\u{1b}[2J";
    for arguments in [
        ["view", "balance", hostile],
        ["view", hostile, "a"],
        ["events", "--aggregate", hostile],
        ["audit", "--actor", hostile],
        // An argument that cannot be parsed.
        ["audit", "--format", hostile],
    ] {
        let said = complaint(place, &arguments);
        assert!(said.contains("\\u{202e}") && !said.contains(acts), "{arguments:?}: {said:?}");
    }
}
