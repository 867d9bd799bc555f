//! Several handles on one log, and write locks.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{
    Bench, PATIENCE, aggregate, append, assert_in_order, batch, commit, committed, duplicate, log, receipt,
};
use crate::store::{Outcome, Store, StoreError, WriteLock};

const SHORT: Duration = Duration::from_millis(300);

async fn write_lock(store: &dyn Store) -> Box<dyn WriteLock> {
    store.write_lock(PATIENCE, PATIENCE).await.expect("a write lock")
}

/// Mission X1: with several writers, each decides again after a conflict and succeeds.
pub(super) async fn two_writers_make_one_order_without_a_gap(bench: Bench) {
    let mut writers = Vec::new();
    for writer in 0..3_u128 {
        let store = bench.open().await;
        writers.push(tokio::spawn(async move {
            let mut conflicts = 0;
            for number in 0..40_u64 {
                let own = format!("tally:{writer}");
                let mut done = false;
                while !done {
                    let shared =
                        store.load(&aggregate("tally:shared"), 0, 1_000).await.expect("a load").len() as u64;
                    let made = commit(writer * 1_000 + u128::from(number));
                    let made = made.on(&own, number * 2, 2).on("tally:shared", shared, 1);
                    done = matches!(append(&*store, [made]).await[0], Outcome::Committed(_));
                    conflicts += u32::from(!done);
                }
            }
            conflicts
        }));
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    let events = log(&*bench.open().await).await;
    assert_eq!(events.len(), 3 * 40 * 3);
    assert_in_order(&events);
    for commit in events.chunks(3) {
        assert!(
            commit.iter().all(|event| event.command_id == commit[0].command_id),
            "the events of a commit are consecutive"
        );
    }
}

/// Mission X1: a store may cache the sequences of its own appends only while no other writer appends.
pub(super) async fn cached_sequences_are_not_used_after_another_writer_has_appended(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let says = async |made| append(&*store, [made]).await.remove(0);
    committed(&*store, commit(1).fresh().on("tally:a", 0, 1).on("tally:b", 0, 1)).await;
    committed(&*store, commit(2).fresh().on("tally:a", 1, 1)).await;
    assert_eq!(says(commit(3).fresh().on("tally:a", 1, 1)).await, Outcome::Conflict, "before its own last append");
    assert_eq!(says(commit(4).fresh().on("tally:a", 3, 1)).await, Outcome::Conflict, "after its own last append");
    committed(&*other, commit(5).on("tally:a", 2, 1).on("tally:b", 1, 1)).await;
    assert_eq!(
        says(commit(6).fresh().on("tally:a", 2, 1)).await,
        Outcome::Conflict,
        "before another writer's append"
    );
    committed(&*store, commit(7).fresh().on("tally:a", 3, 1)).await;
    assert_eq!(
        says(commit(8).fresh().on("tally:b", 1, 1)).await,
        Outcome::Conflict,
        "before another writer's earlier append"
    );
    committed(&*store, commit(9).fresh().on("tally:b", 2, 1).on("tally:a", 4, 1)).await;
    assert_in_order(&log(&*other).await);
}

/// Mission X2: a generated id is new only at the first attempt to append it.
pub(super) async fn a_batch_that_is_appended_again_is_found_by_its_ids(bench: Bench) {
    let store = bench.open().await;
    let first = batch([commit(1).fresh().on("tally:a", 0, 1), commit(2).fresh().on("tally:a", 1, 1)]);
    let first_outcomes = store.append(first.clone()).await.expect("an answered batch");
    let again = store.append(first.resent()).await.expect("an answered batch");
    for (first, again) in first_outcomes.iter().zip(&again) {
        assert_eq!(duplicate(*again).head, receipt(*first).head);
    }
    // Without the look-up, the unique constraint of the log rejects it.
    let unseen = batch([commit(1).fresh().on("tally:a", 2, 1)]);
    assert!(matches!(store.append(unseen).await, Err(StoreError::Rejected { .. })));
    assert_eq!(log(&*store).await.len(), 2);
    committed(&*store, commit(3).fresh().on("tally:a", 2, 1)).await;
}

/// Mission X1: in any process.
pub(super) async fn a_watcher_is_notified_of_appends_by_any_handle(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let (mut watch, mut watch_other) = (store.watch(), other.watch());
    for (number, writer) in [(0, &store), (1, &other), (2, &other), (3, &store)] {
        let head = committed(&**writer, commit(number.into()).on("tally:a", number, 1)).await.head;
        for watch in [&mut watch, &mut watch_other] {
            let notified = tokio::time::timeout(PATIENCE, watch.wait_for(|seen| *seen == head)).await;
            notified.expect("a notification").expect("an open store");
        }
        assert_eq!(writer.head().await.unwrap(), head);
    }
    let late = bench.open().await;
    assert_eq!(late.watch().borrow().position, 4, "a handle that is opened later has the head");
}

/// Guarantee 6: the last attempt of a hot aggregate.
pub(super) async fn a_write_lock_excludes_all_other_writers_until_it_appends(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let lock = write_lock(&*store).await;
    let mut waiting = Vec::new();
    for (number, handle) in [(10, &store), (11, &other)] {
        let handle = Arc::clone(handle);
        waiting.push(tokio::spawn(async move { append(&*handle, [commit(number).on("tally:a", 0, 1)]).await[0] }));
    }
    tokio::time::sleep(SHORT).await;
    assert!(waiting.iter().all(|task| !task.is_finished()), "both writers wait");
    assert_eq!(store.head().await.unwrap().position, 0, "readers do not wait");
    let outcomes = lock.append(batch([commit(1).on("tally:a", 0, 2)])).await.expect("an answer");
    assert_eq!(receipt(outcomes[0]).head.position, 2);
    for task in waiting {
        assert_eq!(task.await.expect("a writer"), Outcome::Conflict, "both were decided before the append");
    }
    let mut watch = other.watch();
    let notified = tokio::time::timeout(PATIENCE, watch.wait_for(|head| head.position == 2)).await;
    notified.expect("a notification").expect("an open store");
}

/// Guarantee 6.
pub(super) async fn a_write_lock_loads_the_present_log(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    committed(&*other, commit(1).on("tally:a", 0, 3)).await;
    let mut lock = write_lock(&*store).await;
    let events = lock.load(&aggregate("tally:a"), 1).await.expect("a load");
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    assert!(lock.load(&aggregate("tally:b"), 0).await.expect("a load").is_empty());
    receipt(lock.append(batch([commit(2).on("tally:a", 3, 1)])).await.expect("an answer")[0]);
}

/// Guarantee 6.
pub(super) async fn a_dropped_write_lock_writes_nothing_and_is_released(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    for number in 0..3 {
        drop(write_lock(&*store).await);
        committed(&*other, commit(number.into()).on("tally:a", number, 1)).await;
    }
    assert_eq!(store.head().await.unwrap().position, 3);
}

/// Guarantee 6: a write lock expires.
pub(super) async fn a_write_lock_ends_when_its_time_is_over(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let mut lock = store.write_lock(PATIENCE, SHORT).await.expect("a write lock");
    let waiting = {
        let other = Arc::clone(&other);
        tokio::spawn(async move { append(&*other, [commit(1).on("tally:a", 0, 1)]).await[0] })
    };
    receipt(tokio::time::timeout(PATIENCE, waiting).await.expect("an end of the wait").expect("a writer"));
    assert!(matches!(lock.load(&aggregate("tally:a"), 0).await, Err(StoreError::Busy(_))));
    let late = lock.append(batch([commit(2).on("tally:b", 0, 1)])).await;
    assert!(matches!(late, Err(StoreError::Busy(_))), "{late:?}");
    assert_eq!(other.head().await.unwrap().position, 1, "nothing of it was written");
}

/// Guarantee 6: waiting for a write lock times out.
pub(super) async fn waiting_too_long_for_a_write_lock_fails_with_busy(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let lock = write_lock(&*store).await;
    for handle in [&store, &other] {
        let refused = tokio::time::timeout(PATIENCE / 3, handle.write_lock(SHORT, SHORT)).await.expect("an answer");
        assert!(matches!(refused, Err(StoreError::Busy(_))), "another handle holds the lock");
    }
    drop(lock);
    for handle in [&store, &other] {
        drop(handle.write_lock(PATIENCE, SHORT).await.expect("a free lock"));
    }
}

/// Mission X2, Guarantee 6.
pub(super) async fn a_duplicate_under_a_write_lock_gets_its_first_receipt(bench: Bench) {
    let store = bench.open().await;
    let first = committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let lock = write_lock(&*store).await;
    let outcomes = lock.append(batch([commit(1).on("tally:a", 0, 1), commit(2).on("tally:a", 1, 1)])).await;
    let outcomes = outcomes.expect("an answer");
    assert_eq!(duplicate(outcomes[0]).head, first.head);
    assert_eq!(outcomes[1], Outcome::Conflict);
    assert_eq!(log(&*store).await.len(), 1);
}
