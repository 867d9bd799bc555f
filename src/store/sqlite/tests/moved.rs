//! The log's files are removed or replaced while a program has them open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{TestDirectory, open_at, reason};
use crate::events::Ref;
use crate::store::conformance::bench::{APP, batch, commit, committed, duplicate, log};
use crate::store::{OpenOptions, Store, StoreError};

/// The log and SQLite's two files beside it.
fn files(dir: &TestDirectory) -> [PathBuf; 3] {
    ["log.db", "log.db-wal", "log.db-shm"].map(|name| dir.0.path().join(name))
}

/// The errors of every operation: none may succeed.
async fn refusals(store: &dyn Store) -> Vec<String> {
    let key: Ref = "tally:a".parse().unwrap();
    let mut refusals = vec![
        reason(store.append(batch([commit(8).on("tally:a", 1, 1)])).await),
        reason(store.append(batch([commit(9).read("tally:a", 1)])).await),
        reason(store.head().await),
        reason(store.load(&key, 0, 9).await),
        reason(store.check_integrity().await),
    ];
    let mut session = store.write_lock(Duration::from_secs(5), Duration::from_secs(5)).await.unwrap();
    refusals.push(reason(session.load(&key, 0).await));
    refusals.push(reason(session.append(batch([commit(8).on("tally:a", 1, 1)])).await));
    refusals
}

#[tokio::test]
async fn nothing_is_acknowledged_while_a_file_of_the_log_is_missing() {
    for victim in 0..3 {
        let dir = TestDirectory::new();
        let store = dir.open().await;
        committed(&*store, commit(1).on("tally:a", 0, 1)).await;
        let file = &files(&dir)[victim];
        let aside = dir.0.path().join("aside");
        fs::rename(file, &aside).unwrap();
        for refusal in refusals(&*store).await {
            let says = format!("{} was removed while this program had it open", file.display());
            assert!(refusal.contains(&says), "{refusal}");
            assert!(refusal.contains("restart this program"), "{refusal}");
        }
        fs::write(file, "another").unwrap();
        for refusal in refusals(&*store).await {
            assert!(refusal.contains("was replaced by another file"), "{refusal}");
        }
        fs::rename(&aside, file).unwrap();
        committed(&*store, commit(2).on("tally:a", 1, 1)).await;
        assert_eq!(log(&*store).await.len(), 2);
        store.close().await;
        assert_eq!(log(&*dir.open().await).await.len(), 2);
    }
}

/// When the first program ends, it does not remove commits that the second has acknowledged.
#[tokio::test]
async fn of_two_programs_on_one_path_only_the_one_with_the_present_file_acknowledges() {
    let dir = TestDirectory::new();
    let first = dir.open().await;
    committed(&*first, commit(1).on("tally:a", 0, 1)).await;
    let copy = dir.0.path().join("copy.db");
    first.backup(&copy, Box::new(|_, _| {})).await.unwrap();
    fs::rename(&copy, dir.log()).unwrap();
    fs::remove_file(&files(&dir)[1]).unwrap();
    fs::remove_file(&files(&dir)[2]).unwrap();

    let second = dir.open().await;
    let acknowledged = committed(&*second, commit(2).on("tally:a", 1, 1)).await;
    assert_eq!(acknowledged.first_position, 2);
    refusals(&*first).await;
    first.close().await;
    assert!(files(&dir).iter().all(|file| file.exists()), "they are the second program's");
    let third = dir.open().await;
    assert_eq!(third.head().await.unwrap(), acknowledged.head);
    committed(&*second, commit(3).on("tally:a", 2, 1)).await;
    assert_eq!(third.check_integrity().await.unwrap(), Vec::new());
}

/// SQLite would create a new log, and delete acknowledged commits with the -wal file.
#[tokio::test]
async fn no_new_log_is_created_beside_the_wal_of_one_that_was_moved_away() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let [file, wal, _] = files(&dir);
    let aside = dir.0.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    let refused = reason(open_at(&file, true).await);
    assert!(refused.contains("log.db-wal does: move the file back"), "{refused}");
    assert!(!file.exists() && wal.exists());
    fs::rename(&aside, &file).unwrap();
    assert_eq!(log(&*dir.open().await).await.len(), 1);
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
}

/// A store whose writer runs `work` once while a transaction is open.
async fn open_with<F: FnOnce() + Send + 'static>(dir: &TestDirectory, work: F) -> Arc<dyn Store> {
    let hook: Arc<Mutex<Option<F>>> = Arc::default();
    let clock = {
        let hook = hook.clone();
        Arc::new(move || {
            if let Some(work) = hook.lock().unwrap().take() {
                work();
            }
            jiff::Timestamp::now()
        })
    };
    let options = OpenOptions { app: APP.to_owned(), clock, create: true };
    let store = crate::store::open(&format!("sqlite://{}", dir.log().display()), options).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    *hook.lock().unwrap() = Some(work);
    store
}

fn swap(from: &Path, to: &Path) -> impl FnOnce() + Send + use<> {
    let (from, to) = (from.to_owned(), to.to_owned());
    move || fs::rename(from, to).unwrap()
}

#[tokio::test]
async fn a_log_that_is_removed_during_a_commit_leaves_its_outcome_unknown() {
    let dir = TestDirectory::new();
    let aside = dir.0.path().join("aside");
    let store = open_with(&dir, swap(&dir.log(), &aside)).await;
    let sent = batch([commit(2).fresh().on("tally:a", 1, 1)]);
    let lost = store.append(sent.clone()).await;
    assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
    // The second attempt finds it, although its id is new: an answer was lost.
    fs::rename(&aside, dir.log()).unwrap();
    let receipt = duplicate(store.append(sent.resent()).await.unwrap()[0]);
    assert_eq!((receipt.first_position, log(&*store).await.len()), (2, 2));
}

#[tokio::test]
async fn an_append_under_a_write_lock_whose_log_is_removed_meanwhile_has_an_unknown_outcome() {
    let dir = TestDirectory::new();
    let store = open_with(&dir, swap(&dir.log(), &dir.0.path().join("aside"))).await;
    let session = store.write_lock(Duration::from_secs(5), Duration::from_secs(5)).await.unwrap();
    let lost = session.append(batch([commit(2).on("tally:a", 1, 1)])).await;
    assert!(matches!(lost, Err(StoreError::OutcomeUnknown(_))), "{lost:?}");
}

/// A symbolic link to the log is followed: the -wal is beside the link's target.
#[tokio::test]
async fn a_log_behind_a_link_is_used_and_a_changed_link_is_detected() {
    let (dir, far) = (TestDirectory::new(), TestDirectory::new());
    far.open().await.close().await;
    std::os::unix::fs::symlink(far.log(), dir.log()).unwrap();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    assert!(files(&far)[1].exists());
    let other = TestDirectory::new();
    open_at(&other.log(), true).await.unwrap().close().await;
    fs::remove_file(dir.log()).unwrap();
    std::os::unix::fs::symlink(other.log(), dir.log()).unwrap();
    refusals(&*store).await;
}
