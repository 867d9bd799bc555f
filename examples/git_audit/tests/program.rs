//! The program itself: killed and run again, bad input, and what it prints.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use annals::prelude::*;
use common::{Sandbox, open, paths, program, tree};

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

/// What lies in a log, without what differs from run to run: ids of events and times of recording.
async fn log(annals: &Annals) -> Vec<(String, u64, String, String, String)> {
    let page = annals.events(0, 100_000).await.unwrap();
    let row = |event: annals::events::Stored| {
        (event.aggregate.to_string(), event.sequence, event.event_type, event.payload, event.metadata)
    };
    page.events.into_iter().map(row).collect()
}

/// Mission A11. Killed in the middle, again and again, then let run: the log and the tree of an import in one piece.
#[tokio::test]
async fn an_import_that_is_killed_goes_on_where_it_was() {
    let sandbox = busy();
    let (path, store) = (sandbox.path(), sandbox.store());
    let mut killed = 0;
    for milliseconds in [60, 90, 120, 160, 200, 260, 340] {
        let mut running = Command::new(env!("CARGO_BIN_EXE_git_audit"))
            .args(["import", path.to_str().unwrap(), "--store", &store])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(milliseconds) && running.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.kill().unwrap();
        killed += u32::from(!running.wait().unwrap().success());
    }
    assert!(killed > 0, "no import was killed before its end");
    let finished = program(&path, &["import", ".", "--store", &store]);
    assert!(finished.status.success(), "{}", text(&finished.stderr));
    let whole = open("sqlite::memory:").await;
    let done = sandbox.import(&whole).await.unwrap();
    assert_eq!(done.commands, sandbox.rows());
    let annals = open(&store).await;
    assert_eq!(log(&annals).await, log(&whole).await);
    assert_eq!(tree(&annals).await, tree(&whole).await);
    assert_eq!(paths(&annals).await, sandbox.tree());
    whole.close().await;
    annals.close().await;
}

#[test]
fn without_arguments_it_imports_the_repository_it_stands_in_and_says_what_is_in_the_log() {
    let sandbox = Sandbox::new();
    sandbox.write("src/a\u{1b}[31m", "red");
    sandbox.write("src/b", "b");
    sandbox.commit();
    let output = program(&sandbox.path().join("src"), &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in ["1 commits, 2 commands accepted: 2 new", "user:ann@example.org added file:src/b", "2  src"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "what is in a path is not obeyed");
    let again = program(&sandbox.path().join("src"), &["import", "."]);
    assert!(text(&again.stdout).contains("2 known from an earlier import; 0 events added"), "{}", text(&again.stdout));
}

#[test]
fn bad_input_is_an_error_on_stderr_and_an_exit_code() {
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
