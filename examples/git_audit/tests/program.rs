//! The program: killed and run again, bad input, output.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::Place;
use common::{Sandbox, open, paths, program, tree};

annals_test_postgres::both_stores!(an_import_that_is_killed_continues);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A repository with some thousand rows in some hundred commits.
fn busy() -> Sandbox {
    let sandbox = Sandbox::new();
    for round in 0..60 {
        for file in 0..50 {
            sandbox.write(format!("d{}/f{file}", file % 7), &format!("{round} {}", round * file % 11));
        }
        if round > 0 {
            sandbox.rename(&format!("moved/m{}", round - 1), &format!("moved/m{round}"));
        } else {
            sandbox.write("moved/m0", &"it moves in each commit\n".repeat(40));
        }
        sandbox.commit_by(&format!("author{}@example.org", round % 5));
    }
    sandbox
}

/// The events of a log, without the event ids and recording times, which differ in each run.
async fn log(annals: &Annals) -> Vec<(String, u64, String, String, String)> {
    let row = |event: annals::events::Stored| {
        (event.aggregate.to_string(), event.sequence, event.event_type, event.payload, event.metadata)
    };
    let (mut log, mut after) = (Vec::new(), 0);
    loop {
        // A page ends after a megabyte.
        let page = annals.events(after, 10_000).await.unwrap();
        let Some(last) = page.events.last() else { return log };
        after = last.position;
        log.extend(page.events.into_iter().map(row));
    }
}

/// Mission A11. An import that is killed several times and then completes has the log and the tree of an import in one run.
async fn an_import_that_is_killed_continues(place: &Place) {
    let sandbox = busy();
    let (path, store) = (sandbox.path(), place.url());
    let whole = open("sqlite::memory:").await;
    let done = sandbox.import(&whole).await.unwrap();
    assert_eq!(done.commands, sandbox.rows());
    // The delay grows until the import is killed with some but not all of its events in the log.
    let (mut delay, mut reached) = (Duration::from_millis(100), Vec::new());
    for _ in 0..60 {
        let mut running = Command::new(env!("CARGO_BIN_EXE_git_audit"))
            .args(["import", path.to_str().unwrap(), "--store", store])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        running.kill().unwrap();
        running.wait().unwrap();
        let annals = open(store).await;
        let position = annals.store().head().await.unwrap().position;
        annals.close().await;
        if position == done.events {
            break;
        }
        if position > reached.last().copied().unwrap_or(0) {
            reached.push(position);
        }
        if reached.len() == 3 {
            break;
        }
        delay += Duration::from_millis(30);
    }
    assert!(!reached.is_empty(), "no import was killed in its middle");
    let finished = program(&path, &["import", ".", "--store", store]);
    assert!(finished.status.success(), "{}", text(&finished.stderr));
    let annals = open(store).await;
    assert_eq!(log(&annals).await, log(&whole).await);
    assert_eq!(tree(&annals).await, tree(&whole).await);
    assert_eq!(paths(&annals).await, sandbox.tree());
    whole.close().await;
    annals.close().await;
}

#[test]
fn without_arguments_the_working_directory_is_imported_and_a_summary_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("src/a\u{1b}[31m", "red");
    sandbox.write("src/b", "b");
    sandbox.commit();
    let output = program(&sandbox.path().join("src"), &["--no-serve"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in ["imported 1 commit as 2 commands: 2 new", "user:ann@example.org added file:src/b", "2  src"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "control characters in a path are escaped");
    let again = program(&sandbox.path().join("src"), &["import", "."]);
    assert!(text(&again.stdout).contains("2 from an earlier import; 0 events added"), "{}", text(&again.stdout));
}

/// At its end it serves the page and prints the address; Ctrl-C ends it.
#[test]
fn without_arguments_the_page_is_served_until_ctrl_c() {
    let sandbox = Sandbox::new();
    sandbox.write("src/<b>", "b");
    sandbox.commit();
    let mut running = Command::new(env!("CARGO_BIN_EXE_git_audit"))
        .current_dir(sandbox.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = said
        .filter_map(|line| Some(line.split_once("http://")?.1.split_once(' ')?.0.to_owned()))
        .next()
        .expect("it prints the address of the page");
    let get = |path: &str| {
        let mut connection = TcpStream::connect(&address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        connection.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
        page
    };
    let numbers = get("/page/metrics");
    let chosen = |words: &str| format!("aria-current=\"true\">{words}</a>");
    assert!(
        numbers.contains(&chosen("By time of occurrence")) && numbers.contains("2020-09-13 12:27 UTC"),
        "{numbers}"
    );
    let recorded = get("/page/metrics?by_occurrence=false");
    assert!(recorded.contains(&chosen("By time recorded")) && !recorded.contains("2020-09-13"), "{recorded}");
    let page = get("/");
    assert!(page.contains("file:src/&lt;b&gt;") && !page.contains("<b>"), "{page}");
    let interrupt = Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert!(running.wait().unwrap().success());
}

/// Mission X22: an imported history has its numbers by when it happened.
#[test]
fn the_metrics_of_an_import_are_by_when_the_commits_were_made() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.write(format!("src/{name}"), name);
        sandbox.commit();
    }
    let run = |arguments: &[&str]| {
        let output = program(&sandbox.path(), arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    run(&["import", "."]);
    let all = run(&["metrics", "src", "--by-occurrence", "--slices", "1"]);
    assert!(all.starts_with("3 events in src that occurred from 2020-09-13T12:27:40.000000Z until"), "{all}");
    let minutes = ["--from", "2020-09-13T12:28:40Z", "--until", "2020-09-13T12:30:40Z"];
    let two = run(&[&["metrics", "--by-occurrence"][..], &minutes].concat());
    assert!(two.starts_with("2 events in the whole log that occurred from 2020-09-13T12:28:40"), "{two}");
    assert!(two.contains("mean: 1.000 a minute\n"), "{two}");
    let recorded = run(&["metrics", "--format", "json"]);
    assert!(recorded.contains("\"total\": 3") && recorded.contains("\"per_day\": null"), "{recorded}");
    let refused = program(&sandbox.path(), &["metrics", "--by-occurrence", "--from", "2"]);
    assert!(text(&refused.stderr).contains("give a time as bound"), "{}", text(&refused.stderr));
}

#[test]
fn bad_input_gives_an_error_on_stderr_and_an_exit_code() {
    let nowhere = tempfile::TempDir::new().unwrap();
    let empty = Sandbox::new();
    for (directory, repository, words) in [
        (nowhere.path(), ".", "is not a git repository"),
        (nowhere.path(), "missing", "is not a git repository"),
        (&*empty.path(), ".", "has no commits"),
    ] {
        let output = program(directory, &["import", repository]);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
}
