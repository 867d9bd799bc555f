//! Runs the program `bank` to its end, and collects its help texts.

use std::collections::BTreeMap;
use std::process::Stdio;

use regex::Regex;

use crate::process::{PROVENANCE, Process};

/// Runs `bank`. Returns whether it succeeded, and its output.
pub fn run(arguments: &[&str]) -> (bool, String) {
    let ended = Process::bank(arguments, &[(PROVENANCE, "1")]).stdin(Stdio::null()).output().unwrap();
    (ended.status.success(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

/// Collects the help texts of a subcommand and its subcommands.
pub fn helps(path: &[&str], into: &mut BTreeMap<String, String>) {
    let (_, text) = run(&[path, &["--help"]].concat());
    let subcommand = Regex::new(r"(?m)^  ([a-z-]+)(?: |$)").unwrap();
    let listed = text.split_once("Commands:").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap());
    for name in subcommand.captures_iter(listed).map(|found| found.get(1).unwrap().as_str()) {
        // The fields of commands are options too: `execute COMMAND --help`.
        if name != "help" && path != ["execute"] {
            helps(&[path, &[name]].concat(), into);
        }
    }
    into.insert(path.join(" "), text);
}
