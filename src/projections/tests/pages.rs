//! How much a page of the audit log and a follower read of the log, measured with a log that counts.

use futures::StreamExt;

use super::log::TestLog;
use super::*;
use crate::projections::audit::{AuditLog, AuditQuery};

async fn audited(events: u64) -> (Arc<TestLog>, Projections) {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    log.push((0..events).map(|number| deposit(number % 7, number)).collect());
    let projections = engine(&store, vec![Arc::new(AuditLog::new(types()))]).await;
    let reading = projections.reading("audit").unwrap();
    reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(60))).await.unwrap();
    // From here on only queries read the log.
    let live = async || matches!(projections.statuses().await.unwrap()[0].state, ProjectionState::Live);
    until("it follows the log", live).await;
    (log, projections)
}

/// Mission J12: the rows of a page are read from the log together, however many they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_reads_the_log_as_often_for_500_rows_as_for_one() {
    let (log, projections) = audited(3_000).await;
    type Ask = fn(AuditQuery) -> AuditQuery;
    let cases: [Ask; 5] = [
        |query| query,
        |query| query.newest_first(),
        |query| query.actor("user:tester"),
        |query| query.actor("user:tester").target("account:3").by_occurrence(),
        |query| query.text("put"),
    ];
    for (case, ask) in cases.into_iter().enumerate() {
        let mut reads = Vec::new();
        for rows in [1, 50, 500] {
            let before = log.looked_up.load(Ordering::Relaxed);
            let query = AuditQuery::new(projections.reading("audit").unwrap());
            let page = ask(query).limit(rows).page().await.unwrap();
            // A page with several filters or a text filter may have fewer rows.
            let whole = page.rows.len() as u64 == rows;
            assert!(if case < 3 { whole } else { !page.rows.is_empty() }, "case {case}: {}", page.rows.len());
            reads.push(log.looked_up.load(Ordering::Relaxed) - before);
        }
        // The checkpoint, the rows of three rounds at most, and the event of the cursor.
        assert!(reads.iter().all(|reads| *reads <= 6), "case {case}: {reads:?} reads of the log");
    }
    projections.close().await;
}

/// Mission P1: a follower holds at most the rows it took and one chunk; in the end all rows arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_follower_holds_one_chunk_in_memory_and_never_the_log() {
    const EVENTS: u64 = 10_000;
    /// A chunk of rows, and one event for each comparison of a checkpoint with the log.
    const AHEAD: u64 = 256 + 64;
    let (log, projections) = audited(EVENTS).await;
    let query = || AuditQuery::new(projections.reading("audit").unwrap());
    for mut stream in [query().follow(), query().stream()] {
        let before = log.found.load(Ordering::Relaxed);
        let (mut taken, mut most) = (0, 0);
        while taken < EVENTS {
            taken += 1;
            assert_eq!(stream.next().await.unwrap().unwrap().position, taken);
            // Time for a reader that reads ahead in a task of its own.
            if taken.is_power_of_two() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let ahead = log.found.load(Ordering::Relaxed) - before - taken;
            most = most.max(ahead.saturating_sub(taken / 64));
        }
        assert!(most <= AHEAD, "{most} events were in memory at once");
    }
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_page_reads_the_log_as_often_for_500_rows_as_for_one,
    a_slow_follower_holds_one_chunk_in_memory_and_never_the_log,
}
