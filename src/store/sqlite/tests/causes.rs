//! Each cause for which a store cannot be opened has its own advice. Child processes have the file systems and limits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{TestDirectory, open_at, reason};
use crate::store::conformance::bench::{commit, committed};

/// Runs an ignored test of these modules as a child process, after these lines of shell.
pub(super) fn child(dir: &TestDirectory, test: &str, mut command: Command, lines: &str) {
    let program = std::env::current_exe().unwrap();
    let run = format!("store::sqlite::tests::{test} --exact --ignored --nocapture");
    command.args(["-ec", &format!("{lines}; exec '{}' {run}", program.display())]);
    let output = command.env("ANNALS_TEST_DIRECTORY", dir.0.path()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// A shell that can mount file systems.
pub(super) fn mounting() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh"]);
    command
}

/// The path of a child's store.
pub(super) fn path() -> Option<PathBuf> {
    std::env::var_os("ANNALS_TEST_DIRECTORY").map(|directory| Path::new(&directory).join("log.db"))
}

pub(super) async fn made(path: &Path) {
    let store = open_at(path, true).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    store.close().await;
}

/// Without the right to mount, the test fails with that message.
#[tokio::test]
async fn opening_a_store_reports_a_full_disk() {
    let dir = TestDirectory::new();
    let lines = format!("mount -t tmpfs -o size=2m annals '{}'", dir.0.path().display());
    child(&dir, "causes::on_a_full_disk", mounting(), &lines);
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn on_a_full_disk() {
    let Some(path) = path() else { return };
    made(&path).await;
    let ballast = path.with_extension("ballast");
    assert!(fs::write(&ballast, vec![1; 4_000_000]).is_err(), "the disk is full");
    for create in [true, false] {
        let refused = reason(open_at(&path, create).await);
        assert!(refused.contains("is full") && refused.contains("free space"), "{refused}");
    }
    fs::remove_file(&ballast).unwrap();
    open_at(&path, false).await.unwrap().close().await;
}

#[tokio::test]
async fn opening_a_store_reports_too_many_open_files() {
    let dir = TestDirectory::new();
    made(&dir.log()).await;
    child(&dir, "causes::with_too_many_files", Command::new("sh"), "ulimit -n 100");
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn with_too_many_files() {
    let Some(path) = path() else { return };
    let mut taken = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        taken.push(file);
    }
    let refused = reason(open_at(&path, false).await);
    assert!(refused.contains("too many files are open") && refused.contains("ulimit -n"), "{refused}");
    drop(taken);
    open_at(&path, false).await.unwrap().close().await;
}
