//! A log on a file system that is read-only: it can be read, and every command fails with that reason. A child process
//! mounts the file system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::causes::{child, made, mounting, path};
use super::{TestDirectory, open_at, reason};
use crate::app::{App, OpenError};
use crate::commands::Context;
use crate::events::Ref;
use crate::store::conformance::bench::{APP, batch, commit, committed};
use crate::store::{Interest, Store, StoreError};

/// Without the right to mount, the test fails with that message.
#[test]
fn a_log_on_read_only_media_can_be_read_and_every_command_fails_with_that_reason() {
    let dir = TestDirectory::new();
    let lines = format!("mount -t tmpfs annals '{}'", dir.0.path().display());
    child(&dir, "read_only::on_read_only_media", mounting(), &lines);
    child(&dir, "read_only::under_a_program_that_writes", mounting(), &lines);
}

fn mount(options: &str, path: &Path) {
    assert!(Command::new("mount").args(["-o", options]).arg(path).status().unwrap().success());
}

fn copied(from: &Path, to: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let named = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::copy(named(from), named(to)).unwrap();
    }
}

fn says_read_only(error: &StoreError) {
    assert!(error.to_string().contains("it is read-only here: the log can be read"), "{error}");
}

async fn can_only_be_read(store: &Arc<dyn Store>, events: u64) {
    assert!(store.is_read_only());
    assert_eq!(store.head().await.unwrap().position, events);
    assert_eq!(store.read(0, 10, &Interest::All).await.unwrap().events.len() as u64, events);
    assert_eq!(store.check_integrity().await.unwrap(), []);
    says_read_only(&store.append(batch([commit(9).on("tally:z", 0, 1)])).await.unwrap_err());
    says_read_only(&store.ready().await.unwrap_err());
    let locked = store.write_lock(Duration::from_secs(1), Duration::from_secs(1)).await;
    says_read_only(&locked.err().expect("no lock"));
    assert_eq!(store.head().await.unwrap().position, events);
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn on_read_only_media() {
    let Some(path) = path() else { return };
    let other = |name: &str| path.with_file_name(name);
    made(&path).await;
    // Copies of a store that is open: its commits are in the -wal file. Then with views that do not fit.
    let store = open_at(&path, true).await.unwrap();
    committed(&*store, commit(2).on("tally:b", 0, 1)).await;
    copied(&path, &other("whole.db"), &["", "-wal", "-shm"]);
    copied(&path, &other("a #%.db"), &["", "-wal"]);
    store.views().live("tally", 1).await.unwrap();
    store.close().await;
    copied(&path, &other("b #%.db"), &[""]);
    std::fs::write(other("b #%.views.db"), "no views").unwrap();
    mount("remount,ro", path.parent().unwrap());

    for name in ["log.db", "whole.db", "a #%.db", "b #%.db"] {
        for create in [true, false] {
            let store = open_at(&other(name), create).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            can_only_be_read(&store, 2).await;
            // The views can be written: they are elsewhere, and those beside the log are copied.
            let generations = store.views().generations().await.unwrap();
            assert_eq!(generations.len(), usize::from(name == "log.db"), "{name}");
            store.views().live("tally", 1).await.unwrap();
            store.close().await;
        }
    }
    assert!(matches!(open_at(&other("none.db"), false).await, Err(StoreError::Missing(_))));
    let refused = reason(open_at(&other("none.db"), true).await);
    assert!(refused.contains("cannot be created (Read-only file system"), "{refused}");

    let url = format!("sqlite://{}", path.display());
    let Err(OpenError::Store(error)) = App::new(APP).record_reads().open(&url).await else { panic!("opened") };
    assert!(error.to_string().contains("the application records reads, and this store is read-only"), "{error}");
    let annals = App::new(APP).open(&url).await.unwrap();
    let reader = annals.read_as(&Context::by(Ref::unchecked("user", "bob")));
    assert_eq!(reader.events(0, 10).await.unwrap().events.len(), 2);
    annals.close().await;

    // A program for which the media is not read-only: nothing stale or torn is read.
    let store = open_at(&path, false).await.unwrap();
    mount("remount,rw", path.parent().unwrap());
    let writer = open_at(&path, false).await.unwrap();
    committed(&*writer, commit(3).on("tally:c", 0, 1)).await;
    let refused = store.head().await.unwrap_err();
    assert!(refused.to_string().contains("written by a program for which it is not read-only"), "{refused}");
    store.close().await;
    writer.close().await;
}

/// The log is written through one mount, and read through a read-only one.
#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn under_a_program_that_writes() {
    let Some(path) = path() else { return };
    made(&path).await;
    let directory = tempfile::tempdir().unwrap();
    let bound = Command::new("mount").arg("--bind").arg(path.parent().unwrap()).arg(directory.path()).status();
    assert!(bound.unwrap().success());
    mount("remount,bind,ro", directory.path());
    let writer = open_at(&path, true).await.unwrap();
    let store = open_at(&directory.path().join("log.db"), true).await.unwrap();
    can_only_be_read(&store, 1).await;
    let mut head = store.watch();
    committed(&*writer, commit(2).on("tally:b", 0, 1)).await;
    let grown = head.wait_for(|head| head.position == 2);
    tokio::time::timeout(Duration::from_secs(10), grown).await.expect("the new event is seen").unwrap();
    can_only_be_read(&store, 2).await;
    store.close().await;
    writer.close().await;
    assert!(Command::new("umount").arg(directory.path()).status().unwrap().success());
}
