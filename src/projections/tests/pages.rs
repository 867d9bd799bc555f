//! How much a page of the audit log and a follower read of the log, measured with a log that counts.

use futures::StreamExt;

use tokio::sync::Semaphore;

use super::log::TestLog;
use super::*;
use crate::aggregates::{AggregateType, Loaded, Repository};
use crate::projections::audit::{AuditLog, AuditQuery};

async fn audited(events: u64) -> (Arc<TestLog>, Projections) {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    log.push((0..events).map(|number| deposit(number % 7, number)).collect());
    let projections = engine(&store, vec![Arc::new(AuditLog::new(types()))]).await;
    let reading = projections.reading("audit").unwrap();
    reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(300))).await.unwrap();
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

/// A store has few snapshots. A query closes its own before it reads the log, which takes long if events are large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_that_read_the_log_hold_no_snapshot_meanwhile() {
    let (log, projections) = audited(2_000).await;
    let reading = projections.reading("audit").unwrap();
    let query = || AuditQuery::new(reading.clone());
    let expected = (query().page().await.unwrap(), query().text("put").count().await.unwrap());
    log.gate.forget_permits(Semaphore::MAX_PERMITS);
    let before = log.asked.load(Ordering::Relaxed);
    // Together more than there are snapshots.
    let pages: Vec<_> = (0..20).map(|_| tokio::spawn(query().page())).collect();
    let counts: Vec<_> = (0..20).map(|_| tokio::spawn(query().text("put").count())).collect();
    let named: Vec<_> = (0..20).map(|_| tokio::spawn(query().count())).collect();
    let streams: Vec<_> = (0..20)
        .map(|_| {
            let mut rows = query().stream();
            tokio::spawn(async move { rows.next().await.unwrap() })
        })
        .collect();
    until("all of them read the log", async || log.asked.load(Ordering::Relaxed) == before + 80).await;
    // What is recorded meanwhile is not in the answers.
    let head = log.push((0..10).map(|number| deposit(number, number)).collect());
    let (views, version) = (log.views(), AuditLog::new(types()).version());
    let free = views.read("audit", version);
    let free = tokio::time::timeout(Duration::from_secs(60), free).await.expect("a snapshot is free");
    drop(free.unwrap_or_else(|error| panic!("{error}")));
    assert!(!pages[0].is_finished() && !counts[0].is_finished(), "they read the log");
    reading.caught_up(head, Some(Duration::from_secs(60))).await.unwrap();
    log.gate.add_permits(Semaphore::MAX_PERMITS);
    for page in pages {
        assert_eq!(page.await.unwrap().unwrap().rows.len(), expected.0.rows.len());
    }
    for count in counts {
        let count = count.await.unwrap().unwrap();
        assert_eq!((count.events, count.head), (2_000, expected.1.head));
    }
    for count in named {
        assert_eq!(count.await.unwrap().unwrap().events, 2_000);
    }
    for row in streams {
        assert_eq!(row.await.unwrap().unwrap().position, 1);
    }
    projections.close().await;
}

/// A count by text of many or large events ends in time, and says that it is not complete. Something is always counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_by_text_ends_in_time_with_what_it_counted() {
    let (log, projections) = audited(2_000).await;
    let count = || AuditQuery::new(projections.reading("audit").unwrap()).text("put");
    let whole = count().count_within(Duration::from_secs(600)).await.unwrap();
    assert_eq!((whole.events, whole.complete), (2_000, true));
    log.gate.forget_permits(Semaphore::MAX_PERMITS);
    let counting = tokio::spawn(count().count_within(Duration::from_millis(100)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    log.gate.add_permits(Semaphore::MAX_PERMITS);
    let part = counting.await.unwrap().unwrap();
    assert!(!part.complete && (1..2_000).contains(&part.events), "{part:?}");
    projections.close().await;
}

/// The events of an aggregate are loaded about a megabyte at a time.
#[tokio::test]
async fn a_load_of_an_aggregate_holds_a_page_of_events_bounded_in_bytes() {
    let log = TestLog::new(memory().await);
    let team: Ref = "team:1".parse().unwrap();
    let said = fixture::guild::TeamEvent::Said { words: "so".repeat(100_000) };
    log.push((0..40).map(|_| happening(team.clone(), &said)).collect());
    let store: Arc<dyn Store> = log.clone();
    let kind = AggregateType::for_aggregate::<fixture::guild::Team>();
    let repository = Repository::new(store.clone());
    let state = repository.load(kind, &team).await.unwrap();
    assert_eq!(state.downcast_ref::<Loaded<fixture::guild::Team>>().unwrap().sequence(), 40);
    let most = log.most_loaded.load(Ordering::Relaxed);
    assert!((1..=2 << 20).contains(&most), "{most} bytes at once");
    repository.close().await;
    store.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_count_by_text_ends_in_time_with_what_it_counted,
    queries_that_read_the_log_hold_no_snapshot_meanwhile,
    a_load_of_an_aggregate_holds_a_page_of_events_bounded_in_bytes,
    a_page_reads_the_log_as_often_for_500_rows_as_for_one,
    a_slow_follower_holds_one_chunk_in_memory_and_never_the_log,
}
