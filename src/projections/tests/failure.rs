//! A failing projection stops, says why, and does not delay others.

use std::sync::atomic::AtomicBool;

use super::log::TestLog;
use super::*;

fn fails_at(bad: u64, broken: Arc<AtomicBool>, fault: Fault) -> Arc<Flaky> {
    flaky(Documents::<Balance>::new(), move |_, batch| {
        match broken.load(Ordering::Relaxed) && batch.events.iter().any(|stored| stored.position == bad) {
            true => fault,
            false => Fault::Never,
        }
    })
}

async fn stop(projections: &Projections) -> StopInfo {
    stop_after(projections, jiff::Timestamp::UNIX_EPOCH).await
}

async fn stop_after(projections: &Projections, time: jiff::Timestamp) -> StopInfo {
    for _ in 0..1_000 {
        match projections.statuses().await.unwrap().remove(0).state {
            ProjectionState::Stopped(stop) if stop.since > time => return stop,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("the projection does not stop within ten seconds");
}

/// Mission A2: the backlog drains exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_stops_at_the_event_it_fails_on_and_the_others_continue() {
    for fault in [Fault::Before, Fault::After, Fault::PanicAfter] {
        let store = memory().await;
        let writer = Writer::new(&store);
        // Neither comets nor painted gates: the view wants each event.
        writer.append((0..100).map(|number| deposit(number % 7, number)).collect()).await;
        let broken = Arc::new(AtomicBool::new(true));
        let projections = engine(&store, vec![fails_at(63, broken.clone(), fault), comets()]).await;
        let receipt = writer.append(vec![comet()]).await;

        let stopped = stop(&projections).await;
        assert_eq!((stopped.position, stopped.diverged), (Some(63), false), "{stopped}");
        assert!(stopped.to_string().contains("as the test wants it"), "{stopped}");
        let json = serde_json::to_value(&projections.statuses().await.unwrap()[0]).unwrap();
        assert_eq!((&json["position"], &json["event"], &json["generation"]), (&62.into(), &63.into(), &1.into()));
        let reading = projections.reading("balance").unwrap();
        assert_eq!(bytes(&reading).await, as_bytes(&by_hand(&whole(&store).await[..62])), "up to the event before");
        projections.reading("comets").unwrap().caught_up(receipt.head, None).await.unwrap();

        let asked = std::time::Instant::now();
        let error = reading.caught_up(receipt.head, Some(Duration::from_secs(60))).await.unwrap_err();
        assert!(matches!(error, ReadError::Stopped { .. }), "{error}");
        assert!(error.to_string().contains("`balance` stopped at event 63"), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(10));
        let before = whole(&store).await[61].head();
        reading.caught_up(before, None).await.unwrap();

        projections.resume("balance").await.unwrap();
        let again = stop_after(&projections, stopped.since).await;
        assert_eq!((again.position, again.at), (Some(63), stopped.at), "nothing is fixed yet");
        broken.store(false, Ordering::Relaxed);
        projections.resume("balance").await.unwrap();
        until("the projection continues", async || !projections.statuses().await.unwrap()[0].is_stopped()).await;
        compare(&store, &projections).await;
        projections.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reason_of_a_stop_is_kept_until_a_start_with_a_fixed_projection() {
    let directory = tempfile::tempdir().unwrap();
    let store = file(directory.path()).await;
    Writer::new(&store).append((0..20).map(|number| deposit(number % 7, number)).collect()).await;
    let broken = Arc::new(AtomicBool::new(true));
    let projections = engine(&store, vec![fails_at(12, broken, Fault::Before)]).await;
    stop(&projections).await;
    projections.close().await;

    let reader = Projections::start(store.clone(), types(), vec![balances()], false).await.unwrap();
    assert_eq!(stop(&reader).await.position, Some(12));
    let head = store.head().await.unwrap();
    let error = reader.reading("balance").unwrap().caught_up(head, None).await.unwrap_err();
    assert!(matches!(error, ReadError::Stopped { .. }), "{error}");

    let fixed = engine(&store, vec![balances()]).await;
    compare(&store, &fixed).await;
    assert!(!reader.statuses().await.unwrap()[0].is_stopped());
    fixed.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_resumes_a_stopped_projection() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    Writer::new(&store).append((0..20).map(|number| deposit(number % 7, number)).collect()).await;
    let broken = Arc::new(AtomicBool::new(true));
    let projections = engine(&store, vec![fails_at(12, broken.clone(), Fault::Before)]).await;
    stop(&projections).await;
    broken.store(false, Ordering::Relaxed);
    let elsewhere = Projections::start(other, types(), vec![balances()], false).await.unwrap();
    elsewhere.resume("balance").await.unwrap();
    until("the projection continues", async || !projections.statuses().await.unwrap()[0].is_stopped()).await;
    compare(&store, &projections).await;
    projections.close().await;
}

/// The stored documents, whether or not they belong to the log.
async fn stored(store: &Arc<dyn Store>, name: &str, version: u64) -> Vec<(String, String)> {
    bodies(&mut *store.views().read(name, version).await.unwrap()).await
}

/// Guarantee 16: detected while running and at a start, and repaired by a rebuild even if the log is now shorter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_of_another_log_stops_until_it_is_rebuilt() {
    for (kept, more, restart) in [(30, 100, false), (30, 0, false), (30, 5, true), (0, 10, true), (0, 0, false)] {
        let log = TestLog::new(memory().await);
        let store: Arc<dyn Store> = log.clone();
        let mut projections = engine(&store, vec![balances()]).await;
        log.push((0..60).map(|number| deposit(number % 7, number)).collect());
        compare(&store, &projections).await;
        let lost = store.head().await.unwrap();
        let wrong = bytes(&projections.reading("balance").unwrap()).await;
        if restart {
            projections.close().await;
        }
        log.restore(kept);
        log.push((0..more).map(|number| deposit(number % 5, 2 * number)).collect());
        if restart {
            projections = engine(&store, vec![balances()]).await;
        }

        let stopped = stop(&projections).await;
        assert!(stopped.diverged && stopped.reason.contains("projections rebuild balance"), "{stopped}");
        let reading = projections.reading("balance").unwrap();
        assert_eq!(stored(&store, "balance", balances().version()).await, wrong, "nothing is reset silently");
        let error = reading.snapshot().await.err().unwrap();
        assert!(matches!(&error, ReadError::LogDiverged { head, .. } if *head == lost), "{error}");
        let head = store.head().await.unwrap();
        if more > 0 {
            let error = reading.caught_up(head, None).await.unwrap_err();
            assert!(matches!(error, ReadError::LogDiverged { .. }), "{error}");
        }
        // A wait for the projection's own checkpoint, which a receipt returned while the log still held it.
        if restart {
            assert!(matches!(
                reading.caught_up(LogPosition { event_id: Uuid::nil(), ..lost }, None).await,
                Err(ReadError::Diverged(_))
            ));
        }

        projections.rebuild("balance").unwrap().await.unwrap();
        compare(&store, &projections).await;
        log.push(vec![deposit(1, 1)]);
        until("the projection continues", async || !projections.statuses().await.unwrap()[0].is_stopped()).await;
        compare(&store, &projections).await;
        projections.close().await;
    }
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_projection_stops_at_the_event_it_fails_on_and_the_others_continue,
    the_reason_of_a_stop_is_kept_until_a_start_with_a_fixed_projection,
    another_process_resumes_a_stopped_projection,
    a_projection_of_another_log_stops_until_it_is_rebuilt,
}
