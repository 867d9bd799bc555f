//! Keeping up with the log, and waiting for it.

use super::log::TestLog;
use super::*;

/// Mission X4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_after_a_receipt_is_never_stale() {
    let store = memory().await;
    let projections = engine(&store, vec![balances(), comets()]).await;
    let writer = Writer::new(&store);
    let key = AccountId::new("7");
    for total in 1..=200 {
        let receipt = writer.append(vec![deposit(7, 1)]).await;
        let balance = ViewQuery::<Balance>::new(projections.reading("balance"), &key).after(receipt).await;
        assert_eq!(balance.unwrap().unwrap().cents, total);
        let page =
            ViewList::<Comets>::new(projections.reading("comets")).after(receipt).page(10, None).await.unwrap();
        assert!(page.at.position >= receipt.head.position, "{page:?}");
    }
    projections.close().await;
}

/// Mission X4: in a process that does not run the projections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_only_reads_waits_for_the_one_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (running, reading) = (file(directory.path()).await, file(directory.path()).await);
    let engine = engine(&running, vec![balances()]).await;
    let reader = Projections::start(reading.clone(), types(), vec![balances()], false).await.unwrap();
    let writer = Writer::new(&running);
    let mut progress = reader.reading("balance").unwrap().progress();
    for total in 1..=20 {
        let receipt = writer.append(vec![deposit(7, 1)]).await;
        let query = ViewQuery::<Balance>::new(reader.reading("balance"), &AccountId::new("7"));
        assert_eq!(query.after(receipt).await.unwrap().unwrap().cents, total);
        progress.wait_for(|head| head.position >= receipt.head.position).await.unwrap();
    }
    engine.close().await;
    let receipt = writer.append(vec![deposit(7, 1)]).await;
    let query = ViewQuery::<Balance>::new(reader.reading("balance"), &AccountId::new("7"));
    let late = query.after(receipt).within(Duration::from_millis(120)).await.unwrap_err();
    assert!(matches!(late, ReadError::Late { position: 20, wanted: 21, .. }), "{late}");
    let status = &reader.statuses().await.unwrap()[0];
    assert_eq!((status.position, status.lag, &status.state), (20, 1, &ProjectionState::CatchingUp));
}

/// Guarantee 21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_wants_few_events_skips_none_and_moves_its_checkpoint() {
    let store = memory().await;
    let writer = Arc::new(Writer::new(&store));
    let background = tokio::spawn({
        let writer = writer.clone();
        async move {
            let mut seen = 0;
            for happening in medley(11, 2_000) {
                seen += u64::from(happening.0.kind() == "sky");
                writer.append(vec![happening]).await;
            }
            seen
        }
    });
    let projections = engine(&store, vec![comets()]).await;
    let reading = projections.reading("comets").unwrap();
    while !background.is_finished() {
        let head = store.head().await.unwrap();
        reading.caught_up(head, Some(Duration::from_secs(5))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let expected = background.await.unwrap();
    let head = store.head().await.unwrap();
    reading.caught_up(head, Some(Duration::from_secs(5))).await.unwrap();
    assert_eq!(bytes(&reading).await, [("all".to_owned(), expected.to_string())]);
    assert_eq!(reading.snapshot().await.unwrap().head(), head);
    projections.close().await;
}

/// Guarantee 21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_wants_nothing_does_not_write_on_every_append() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    let projections = engine(&store, vec![comets()]).await;
    let reading = projections.reading("comets").unwrap();
    let (started, since) = (log.begun.load(Ordering::Relaxed), std::time::Instant::now());
    for _ in 0..100 {
        log.push(vec![paint()]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let written = log.begun.load(Ordering::Relaxed) - started;
    assert!(u64::from(written) <= 2 + since.elapsed().as_secs(), "{written} writes");
    let asked = std::time::Instant::now();
    reading.caught_up(store.head().await.unwrap(), None).await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(900), "{:?}", asked.elapsed());
    // No caller waits: the checkpoint is written within about a second.
    let head = log.push(vec![paint()]);
    let mut progress = reading.progress();
    tokio::time::timeout(Duration::from_secs(5), progress.wait_for(|at| *at == head)).await.unwrap().unwrap();
    projections.close().await;
}

/// Issue 4, part 8: under a steady stream one transaction covers many events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steadily_growing_log_is_applied_in_larger_batches() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    let projections = engine(&store, vec![balances()]).await;
    compare(&store, &projections).await;
    let (begun, since) = (log.begun.load(Ordering::Relaxed), std::time::Instant::now());
    for number in 0..500 {
        log.push(vec![deposit(number % 7, 1)]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // No caller waits, but the events are applied soon all the same.
    let head = store.head().await.unwrap();
    let mut progress = projections.reading("balance").unwrap().progress();
    tokio::time::timeout(Duration::from_secs(20), progress.wait_for(|at| *at == head)).await.unwrap().unwrap();
    let written = u128::from(log.begun.load(Ordering::Relaxed) - begun);
    assert!(written <= since.elapsed().as_millis() / 10 + 2, "{written} writes in {:?}", since.elapsed());
    compare(&store, &projections).await;
    projections.close().await;
}

/// Mission X8: the tree of the log may be a moment behind, and costs few transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_with_an_interval_collects_events_until_a_caller_waits() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    let unhurried = Arc::new(Flaky {
        inner: Arc::new(Documents::<Balance>::new()),
        calls: AtomicU64::new(0),
        hook: Box::new(|_, _| Fault::Never),
        interval: Duration::from_secs(60),
    });
    let projections = engine(&store, vec![unhurried.clone()]).await;
    let live = async || matches!(projections.statuses().await.unwrap()[0].state, ProjectionState::Live);
    until("it follows the log", live).await;
    let reading = projections.reading("balance").unwrap();
    for round in 0..10 {
        log.push(vec![deposit(round, 1)]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(unhurried.calls.load(Ordering::Relaxed), 0, "nobody waits");
    reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(20))).await.unwrap();
    let calls = unhurried.calls.load(Ordering::Relaxed);
    assert!(calls <= 2, "{calls} transactions for ten pages");
    log.push(vec![deposit(1, 1)]);
    let closing = std::time::Instant::now();
    projections.close().await;
    assert!(closing.elapsed() < Duration::from_secs(20), "it does not hold up the end");
}

/// Mission P1: a slow projection reads the log itself and does not delay others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_projection_falls_behind_the_shared_reader_and_catches_up() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    let slow = flaky(Documents::<Balance>::new(), |_, _| {
        std::thread::sleep(Duration::from_millis(5));
        Fault::Never
    });
    let projections = engine(&store, vec![slow.clone(), comets()]).await;
    for round in 0..300 {
        log.push(medley(round, 10));
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    compare(&store, &projections).await;
    assert!(slow.calls.load(Ordering::Relaxed) < 300, "larger batches than the shared pages");
    projections.close().await;
}

/// An engine with a projection whose first step blocks until it is released; returns when the step has started.
async fn held_up(log: &Arc<TestLog>) -> (Projections, Arc<Flaky>, std::sync::mpsc::Sender<()>) {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = flaky(Documents::<Balance>::new(), move |call, _| {
        if call == 0 {
            // Blocking is allowed: another thread runs the other tasks.
            tokio::task::block_in_place(|| held.lock().unwrap().recv_timeout(Duration::from_secs(30)).unwrap());
        }
        Fault::Never
    });
    let store: Arc<dyn Store> = log.clone();
    let projections = engine(&store, vec![slow.clone()]).await;
    let live = async || matches!(projections.statuses().await.unwrap()[0].state, ProjectionState::Live);
    until("it follows the log", live).await;
    log.push(vec![deposit(1, 1)]);
    until("it is in its first step", async || slow.calls.load(Ordering::Relaxed) == 1).await;
    (projections, slow, let_go)
}

/// Grows the log slowly enough for several pages.
async fn grow(log: &Arc<TestLog>, pages: u64) {
    for page in 0..pages {
        log.push(vec![deposit(page % 3, 1), paint()]);
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Issue 6, part 8: a projection that lags spends less for each event, so that it catches up.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_projection_that_lags_applies_all_buffered_pages_in_one_step() {
    let log = TestLog::new(memory().await);
    let (projections, slow, let_go) = held_up(&log).await;
    grow(&log, 20).await;
    let read = log.read.load(Ordering::Relaxed);
    let_go.send(()).unwrap();
    let store: Arc<dyn Store> = log.clone();
    let head = store.head().await.unwrap();
    let mut progress = projections.reading("balance").unwrap().progress();
    tokio::time::timeout(Duration::from_secs(20), progress.wait_for(|at| *at == head)).await.unwrap().unwrap();
    // The last page may have arrived late.
    let calls = slow.calls.load(Ordering::Relaxed);
    assert!((2..=3).contains(&calls), "{calls} steps");
    assert!(log.read.load(Ordering::Relaxed) <= read + 2, "what was shared is not read again");
    compare(&store, &projections).await;
    projections.close().await;
}

/// Issue 6, part 8: a log that was replaced while pages were buffered is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_older_log_restored_while_pages_are_buffered_stops_the_projection() {
    let log = TestLog::new(memory().await);
    let (projections, _, let_go) = held_up(&log).await;
    grow(&log, 5).await;
    log.restore(1);
    grow(&log, 1).await;
    let_go.send(()).unwrap();
    let diverged = async || match &projections.statuses().await.unwrap()[0].state {
        ProjectionState::Stopped(stop) => stop.diverged,
        _ => false,
    };
    until("it is noticed", diverged).await;
    projections.close().await;
}

#[tokio::test]
async fn unknown_and_duplicate_names_are_clear_errors() {
    let store = memory().await;
    let twice = Projections::start(store.clone(), types(), vec![balances(), balances()], true).await;
    assert_eq!(twice.err().unwrap().to_string(), "two projections have the name `balance`: rename one");
    let projections = engine(&store, vec![balances(), comets()]).await;
    let unknown = projections.reading("rooster").unwrap_err().to_string();
    assert_eq!(unknown, "there is no projection `rooster`: there are `balance`, `comets`");
    assert!(projections.rebuild("rooster").is_err());
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_read_after_a_receipt_is_never_stale,
    a_process_that_only_reads_waits_for_the_one_that_runs,
    a_projection_that_wants_few_events_skips_none_and_moves_its_checkpoint,
    a_projection_that_wants_nothing_does_not_write_on_every_append,
    a_steadily_growing_log_is_applied_in_larger_batches,
    a_slow_projection_falls_behind_the_shared_reader_and_catches_up,
    a_projection_that_lags_applies_all_buffered_pages_in_one_step,
    an_older_log_restored_while_pages_are_buffered_stops_the_projection,
    unknown_and_duplicate_names_are_clear_errors,
}
