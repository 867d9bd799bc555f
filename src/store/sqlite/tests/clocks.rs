//! The machine's clock, and the durability of the file system.

use super::{TestDirectory, open_at, reason};
use crate::store::conformance::bench::{batch, commit, committed};

/// Changes the time of the last event directly in the file, as if the machine's clock had jumped ahead.
fn age(dir: &TestDirectory, days: i64) {
    let raw = dir.raw();
    let older = format!(
        "DROP TRIGGER events_stay; UPDATE events SET recorded_at = recorded_at - {days} * 86400000000; \
         CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'annals: events are never changed'); END"
    );
    raw.execute_batch(&older).unwrap();
}

#[tokio::test]
async fn a_machine_clock_years_ahead_of_the_log_appends_nothing_until_it_is_allowed() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    age(&dir, 3_653);
    let refused = reason(store.append(batch([commit(2).on("tally:a", 1, 1)])).await);
    assert!(
        refused.contains("the clock of the machine is at") && refused.contains("clock_ahead_days"),
        "{refused}"
    );
    assert_eq!(store.head().await.unwrap().position, 1);
    let (_, statement) = refused.split_once("with: ").unwrap();
    dir.raw().execute_batch(statement).unwrap();
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
}

/// Mission J5.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_log_in_memory_is_described_as_one_that_is_not_durable() {
    let dir = TestDirectory(tempfile::tempdir_in("/dev/shm").unwrap());
    let words = dir.open().await.describe();
    assert!(words.contains("NOT DURABLE: tmpfs"), "{words}");
    let dir = TestDirectory(tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap());
    let words = open_at(&dir.log(), true).await.unwrap().describe();
    assert!(!words.contains("NOT DURABLE"), "{words}");
}
