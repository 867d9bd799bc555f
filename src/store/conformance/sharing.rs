//! Several handles on one log, and the log locked for one of them.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{
    Bench, PATIENCE, aggregate, append, assert_in_order, batch, commit, committed, duplicate, log, receipt,
};
use crate::store::{Outcome, Store, StoreError, WriteLock};

const SHORT: Duration = Duration::from_millis(300);

async fn write_lock(store: &dyn Store) -> Box<dyn WriteLock> {
    store.write_lock(PATIENCE, PATIENCE).await.expect("an exclusive session")
}

/// X1: by construction, over several writers; each decides again after a conflict and gets through.
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
        assert!(commit.iter().all(|event| event.command_id == commit[0].command_id), "a commit lies together");
    }
}

/// X1: a store may keep in mind what it appended itself, but only as long as nobody else appends.
pub(super) async fn what_a_writer_knows_of_an_aggregate_ends_when_another_writes(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let says = async |made| append(&*store, [made]).await.remove(0);
    committed(&*store, commit(1).fresh().on("tally:a", 0, 1).on("tally:b", 0, 1)).await;
    committed(&*store, commit(2).fresh().on("tally:a", 1, 1)).await;
    assert_eq!(says(commit(3).fresh().on("tally:a", 1, 1)).await, Outcome::Conflict, "behind itself");
    assert_eq!(says(commit(4).fresh().on("tally:a", 3, 1)).await, Outcome::Conflict, "beyond itself");
    committed(&*other, commit(5).on("tally:a", 2, 1).on("tally:b", 1, 1)).await;
    assert_eq!(says(commit(6).fresh().on("tally:a", 2, 1)).await, Outcome::Conflict, "behind another");
    committed(&*store, commit(7).fresh().on("tally:a", 3, 1)).await;
    assert_eq!(says(commit(8).fresh().on("tally:b", 1, 1)).await, Outcome::Conflict, "behind another before that");
    committed(&*store, commit(9).fresh().on("tally:b", 2, 1).on("tally:a", 4, 1)).await;
    assert_in_order(&log(&*other).await);
}

/// X2: an id that was made just now is new only the first time that it is sent.
pub(super) async fn a_batch_that_is_sent_again_is_looked_for(bench: Bench) {
    let store = bench.open().await;
    let first = batch([commit(1).fresh().on("tally:a", 0, 1), commit(2).fresh().on("tally:a", 1, 1)]);
    let told = store.append(first.clone()).await.expect("an answered batch");
    let again = store.append(first.resent()).await.expect("an answered batch");
    for (told, again) in told.iter().zip(&again) {
        assert_eq!(duplicate(*again).head, receipt(*told).head);
    }
    // Whoever does not look is stopped by the log itself.
    let unseen = batch([commit(1).fresh().on("tally:a", 2, 1)]);
    assert!(matches!(store.append(unseen).await, Err(StoreError::Rejected { .. })));
    assert_eq!(log(&*store).await.len(), 2);
    committed(&*store, commit(3).fresh().on("tally:a", 2, 1)).await;
}

/// X1: whoever wrote.
pub(super) async fn a_follower_hears_of_what_any_handle_appends(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let (mut watch, mut watch_other) = (store.watch(), other.watch());
    for (number, writer) in [(0, &store), (1, &other), (2, &other), (3, &store)] {
        let head = committed(&**writer, commit(number.into()).on("tally:a", number, 1)).await.head;
        for watch in [&mut watch, &mut watch_other] {
            let heard = tokio::time::timeout(PATIENCE, watch.wait_for(|seen| *seen == head)).await;
            heard.expect("to hear of it").expect("an open store");
        }
        assert_eq!(writer.head().await.unwrap(), head);
    }
    let late = bench.open().await;
    assert_eq!(late.watch().borrow().position, 4, "who opens later knows the head");
}

/// Guarantee 6: the last attempt of a hot aggregate.
pub(super) async fn a_write_lock_shuts_out_all_other_writers_until_it_appends(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let session = write_lock(&*store).await;
    let mut waiting = Vec::new();
    for (number, handle) in [(10, &store), (11, &other)] {
        let handle = Arc::clone(handle);
        waiting.push(tokio::spawn(async move { append(&*handle, [commit(number).on("tally:a", 0, 1)]).await[0] }));
    }
    tokio::time::sleep(SHORT).await;
    assert!(waiting.iter().all(|task| !task.is_finished()), "they wait");
    assert_eq!(store.head().await.unwrap().position, 0, "readers do not");
    let outcomes = session.append(batch([commit(1).on("tally:a", 0, 2)])).await.expect("an answer");
    assert_eq!(receipt(outcomes[0]).head.position, 2);
    for task in waiting {
        assert_eq!(task.await.expect("a writer"), Outcome::Conflict, "they were decided before it");
    }
    let mut watch = other.watch();
    let heard = tokio::time::timeout(PATIENCE, watch.wait_for(|head| head.position == 2)).await;
    heard.expect("to hear of it").expect("an open store");
}

/// Guarantee 6.
pub(super) async fn a_write_lock_loads_what_is_in_the_log_now(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    committed(&*other, commit(1).on("tally:a", 0, 3)).await;
    let mut session = write_lock(&*store).await;
    let events = session.load(&aggregate("tally:a"), 1).await.expect("a load");
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    assert!(session.load(&aggregate("tally:b"), 0).await.expect("a load").is_empty());
    receipt(session.append(batch([commit(2).on("tally:a", 3, 1)])).await.expect("an answer")[0]);
}

/// Guarantee 6.
pub(super) async fn a_dropped_write_lock_writes_nothing_and_lets_go(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    for number in 0..3 {
        drop(write_lock(&*store).await);
        committed(&*other, commit(number.into()).on("tally:a", number, 1)).await;
    }
    assert_eq!(store.head().await.unwrap().position, 3);
}

/// Guarantee 6: with a bound on its time.
pub(super) async fn a_write_lock_ends_when_its_time_is_over(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let mut session = store.write_lock(PATIENCE, SHORT).await.expect("an exclusive session");
    let waiting = {
        let other = Arc::clone(&other);
        tokio::spawn(async move { append(&*other, [commit(1).on("tally:a", 0, 1)]).await[0] })
    };
    receipt(tokio::time::timeout(PATIENCE, waiting).await.expect("not to wait for ever").expect("a writer"));
    assert!(matches!(session.load(&aggregate("tally:a"), 0).await, Err(StoreError::Busy(_))));
    let late = session.append(batch([commit(2).on("tally:b", 0, 1)])).await;
    assert!(matches!(late, Err(StoreError::Busy(_))), "{late:?}");
    assert_eq!(store.head().await.unwrap().position, 1, "nothing of it was written");
}

/// Guarantee 6: and on the wait for it.
pub(super) async fn who_waits_too_long_for_an_exclusive_session_hears_that_it_is_busy(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    let session = write_lock(&*store).await;
    for handle in [&store, &other] {
        let refused = tokio::time::timeout(PATIENCE / 3, handle.write_lock(SHORT, SHORT)).await.expect("an answer");
        assert!(matches!(refused, Err(StoreError::Busy(_))), "somebody else has it");
    }
    drop(session);
    for handle in [&store, &other] {
        drop(handle.write_lock(PATIENCE, SHORT).await.expect("it is free"));
    }
}

/// X2 under guarantee 6.
pub(super) async fn a_duplicate_in_an_exclusive_session_is_answered_like_any(bench: Bench) {
    let store = bench.open().await;
    let first = committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let session = write_lock(&*store).await;
    let outcomes = session.append(batch([commit(1).on("tally:a", 0, 1), commit(2).on("tally:a", 1, 1)])).await;
    let outcomes = outcomes.expect("an answer");
    assert_eq!(duplicate(outcomes[0]).head, first.head);
    assert_eq!(outcomes[1], Outcome::Conflict);
    assert_eq!(log(&*store).await.len(), 1);
}
