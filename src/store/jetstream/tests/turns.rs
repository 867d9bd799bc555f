//! Write locks and turns.

use std::time::Duration;

use super::bed::Bed;
use super::others::kinds;
use super::proxy::Proxy;
use crate::store::conformance::bench::{PATIENCE, aggregate, append, batch, commit, committed, log, receipt};
use crate::store::{Outcome, WriteLock};

/// How long another process may hold its lock here.
const HELD: Duration = Duration::from_secs(2);

async fn sequences(lock: &mut dyn WriteLock) -> Vec<u64> {
    let events = lock.load(&aggregate("tally:a"), 0).await.unwrap();
    events.iter().map(|event| event.sequence).collect()
}

/// Guarantee 47: a claim is read from the leader.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_lock_is_given_although_the_server_lags() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.lag().await;
    let lock = store.write_lock(HELD * 2, HELD).await.unwrap();
    receipt(lock.append(batch([commit(1).on("tally:a", 0, 1)])).await.unwrap()[0]);
}

/// Guarantee 47: the claim of another process dies while what it appended is unknown here.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_lock_loads_what_another_process_appended_though_the_server_lags() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let (store, other) = (bed.at(proxy.port, "a").await.unwrap(), bed.store("b").await);
    let of_other = other.write_lock(PATIENCE, HELD).await.unwrap();
    let locking = tokio::spawn({
        let store = store.clone();
        async move { store.write_lock(PATIENCE, PATIENCE).await }
    });
    // Its claim is the second one.
    let mut stream = bed.stream();
    while kinds(&mut stream).await.iter().filter(|kind| **kind == "claim").count() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // It has read both by then.
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.lag().await;
    receipt(of_other.append(batch([commit(1).on("tally:a", 0, 2)])).await.unwrap()[0]);
    let mut lock = locking.await.unwrap().unwrap();
    assert_eq!(sequences(&mut *lock).await, [1, 2]);
    // The turn continues: nobody else appends before this lock does.
    let waiting = tokio::spawn(async move { append(&*other, [commit(2).on("tally:a", 2, 1)]).await[0] });
    tokio::time::sleep(Duration::from_millis(300)).await;
    receipt(lock.append(batch([commit(3).on("tally:a", 2, 1)])).await.unwrap()[0]);
    assert_eq!(waiting.await.unwrap(), Outcome::Conflict);
    proxy.catch_up();
    committed(&*store, commit(4).on("tally:a", 3, 1)).await;
    assert_eq!(log(&*store).await.len(), 4);
}
