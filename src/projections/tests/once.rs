//! Every event counts exactly once.

use super::log::TestLog;
use super::*;

/// Mission P6: whatever fails, wherever it fails, and however often the application restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_counts_once_across_failures_panics_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let store = file(directory.path()).await;
        let faulty = flaky(Documents::<Balance>::new(), |call, _| match call % 5 {
            0 => Fault::Before,
            1 => Fault::PanicAfter,
            3 => Fault::After,
            _ => Fault::Never,
        });
        let projections = engine(&store, vec![faulty.clone(), comets()]).await;
        let writer = Writer::new(&store);
        for (happening, _) in medley(round, 400).into_iter().zip(0..) {
            let (on, event) = happening;
            // Other accounts in every round: the writer knows only its own sequences.
            let on = Ref::new(on.kind(), &format!("{round}{}", on.id())).unwrap();
            writer.append(vec![(on, event)]).await;
        }
        if round % 2 == 0 {
            compare(&store, &projections).await;
        }
        projections.close().await;
        store.close().await;
    }
    let store = file(directory.path()).await;
    let projections = engine(&store, vec![balances()]).await;
    compare(&store, &projections).await;
    projections.close().await;
}

/// Mission P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_unknown_outcome_counts_once() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    let projections = engine(&store, vec![balances()]).await;
    for round in 0..6 {
        log.doubtful.store(round % 4, Ordering::Relaxed);
        log.push(medley(u64::from(round), 50));
        compare(&store, &projections).await;
    }
    projections.close().await;
}

/// Mission X1: the checkpoint fences processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_on_one_store_count_every_event_once() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let engines = [
        engine(&stores[0], vec![balances(), comets()]).await,
        engine(&stores[1], vec![balances(), comets()]).await,
    ];
    let writer = Writer::new(&stores[0]);
    for (number, happening) in medley(3, 600).into_iter().enumerate() {
        writer.append(vec![happening]).await;
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    compare(&stores[0], &engines[0]).await;
    compare(&stores[1], &engines[1]).await;
    for engine in &engines {
        assert!(engine.statuses().await.unwrap().iter().all(|status| !status.is_stopped()));
        engine.close().await;
    }
}

/// Mission A2
#[tokio::test]
async fn closing_finishes_the_batch_in_progress_and_ends_every_task() {
    let store = memory().await;
    let slow = flaky(Documents::<Balance>::new(), |_, _| {
        std::thread::sleep(Duration::from_millis(20));
        Fault::Never
    });
    let projections = engine(&store, vec![slow.clone()]).await;
    let writer = Writer::new(&store);
    for happening in medley(5, 20) {
        writer.append(vec![happening]).await;
    }
    projections.close().await;
    let calls = slow.calls.load(Ordering::Relaxed);
    writer.append(vec![deposit(1, 1)]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(slow.calls.load(Ordering::Relaxed), calls);
    let reading = projections.reading("balance").unwrap();
    let snapshot = reading.snapshot().await.unwrap();
    let position = usize::try_from(snapshot.head().position).unwrap();
    assert_eq!(bytes(&reading).await, as_bytes(&by_hand(&whole(&store).await[..position])));
    let late = reading.caught_up(store.head().await.unwrap(), None).await;
    assert!(matches!(late, Err(ReadError::Store(crate::store::StoreError::Closed))), "{late:?}");
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    every_event_counts_once_across_failures_panics_and_restarts,
    a_commit_of_unknown_outcome_counts_once,
    two_engines_on_one_store_count_every_event_once,
    closing_finishes_the_batch_in_progress_and_ends_every_task,
}
