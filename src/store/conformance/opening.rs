//! Opening, closing, backup.

use std::time::Duration;

use super::bench::{APP, Bench, batch, commit, committed, log};
use crate::store::{Interest, StoreError};

/// Mission D5: history after a restart.
pub(super) async fn a_log_is_the_same_after_a_restart(bench: Bench) {
    let store = bench.open().await;
    let head = committed(&*store, commit(1).on("tally:a", 0, 3)).await.head;
    let before = log(&*store).await;
    store.close().await;
    let store = bench.try_open(APP, false).await.expect("an existing store");
    assert_eq!(log(&*store).await, before);
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(*store.watch().borrow(), head);
    committed(&*store, commit(2).on("tally:a", 3, 1)).await;
}

pub(super) async fn a_missing_store_is_an_error_unless_it_may_be_created(bench: Bench) {
    let missing = bench.try_open(APP, false).await.map(|_| ());
    assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    let missing = bench.try_open(APP, false).await.map(|_| ());
    assert!(matches!(missing, Err(StoreError::Missing(_))), "the first attempt did not create it");
    bench.open().await;
}

pub(super) async fn another_applications_store_is_refused(bench: Bench) {
    bench.open().await.close().await;
    let refused = bench.try_open("another", true).await.map(|_| ());
    match refused {
        Err(StoreError::Unusable { reason, .. }) => {
            assert!(reason.contains(APP) && reason.contains("another"), "the error names the owner: {reason}");
        }
        other => panic!("it must be refused: {other:?}"),
    }
}

/// Answered commits are in the log; later calls have no effect.
pub(super) async fn a_closed_store_refuses_appends(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    store.close().await;
    store.close().await;
    let late = store.append(batch([commit(2).on("tally:a", 1, 1)])).await;
    assert!(matches!(late, Err(StoreError::Closed)), "{late:?}");
    assert!(matches!(store.read(0, 1, &Interest::All).await, Err(StoreError::Closed)));
    assert!(matches!(store.views().live("roster", 1).await, Err(StoreError::Closed)));
    assert_eq!(log(&*bench.open().await).await.len(), 1);
}

pub(super) async fn a_backup_never_replaces_a_file(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 100)).await;
    let directory = std::env::temp_dir().join(format!("annals-backup-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).expect("a directory");
    let to = directory.join("copy");
    if !bench.fixture().has_backups() {
        let refused = store.backup(&to, Box::new(|_, _| {})).await;
        assert!(matches!(refused, Err(StoreError::Unusable { .. })), "{refused:?}");
        return std::fs::remove_dir_all(&directory).expect("to remove the directory");
    }
    let (send, received) = std::sync::mpsc::channel();
    let progress = Box::new(move |done, all| send.send((done, all)).expect("a listener"));
    store.backup(&to, progress).await.expect("a backup");
    let (done, all) = received.iter().last().expect("progress");
    assert!(done == all && all > 0, "the last progress is complete: {done} of {all}");
    let length = std::fs::metadata(&to).expect("the copy").len();
    assert!(length > 0);
    let refused = store.backup(&to, Box::new(|_, _| {})).await;
    assert!(refused.is_err(), "the file exists");
    assert_eq!(std::fs::metadata(&to).expect("the copy").len(), length);
    assert_eq!(std::fs::read_dir(&directory).expect("the directory").count(), 1, "no other file is left");
    std::fs::remove_dir_all(&directory).expect("to remove the directory");
}

pub(super) async fn a_backup_whose_future_is_dropped_leaves_no_file(bench: Bench) {
    let store = bench.open().await;
    if !bench.fixture().has_backups() {
        return;
    }
    committed(&*store, commit(1).on("tally:a", 0, 100)).await;
    let directory = std::env::temp_dir().join(format!("annals-backup-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).expect("a directory");
    let to = directory.join("copy");
    let (begun, mut copying) = tokio::sync::mpsc::unbounded_channel();
    let (dropped, wait) = std::sync::mpsc::channel::<()>();
    let progress = Box::new(move |_, _| {
        let _ = begun.send(());
        let _ = wait.recv_timeout(Duration::from_secs(10));
    });
    let copy = store.clone();
    let mut backup = tokio::spawn(async move { copy.backup(&to, progress).await });
    copying.recv().await.expect("progress");
    backup.abort();
    // A store that calls `progress` in the future itself drops it only after that.
    let ended = tokio::time::timeout(Duration::from_millis(200), &mut backup).await;
    drop(dropped);
    let ended = match ended {
        Ok(ended) => ended,
        Err(_) => backup.await,
    };
    assert!(ended.is_err_and(|error| error.is_cancelled()), "the backup is complete");
    let left = || std::fs::read_dir(&directory).expect("the directory").count();
    for _ in 0..1_000 {
        if left() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left(), 0);
    std::fs::remove_dir_all(&directory).expect("to remove the directory");
}

pub(super) async fn a_store_describes_itself_and_passes_its_integrity_check(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 3)).await;
    committed(&*store, commit(2).read("tally:a", 3).keep()).await;
    assert!(!store.describe().is_empty());
    assert_eq!(store.check_integrity().await.unwrap(), []);
}
