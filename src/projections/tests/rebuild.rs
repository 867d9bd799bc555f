//! Rebuilds beside the live version.

use super::*;

/// Missions X3 and P20
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_view_is_byte_equal_to_the_live_one_while_writers_write() {
    let store = memory().await;
    let writer = Arc::new(Writer::new(&store));
    writer.append(medley(1, 5_000)).await;
    let projections = engine(&store, vec![balances(), comets()]).await;
    let background = tokio::spawn({
        let writer = writer.clone();
        async move {
            for round in 0..400 {
                writer.append(medley(round, 5)).await;
            }
        }
    });
    let reading = projections.reading("balance").unwrap();
    let mut generation = 1;
    while !background.is_finished() {
        let rebuild = projections.rebuild("balance").unwrap();
        let mut progress = rebuild.progress();
        let watched = tokio::spawn(async move {
            let mut last = 0;
            while progress.changed().await.is_ok() {
                let now = *progress.borrow();
                assert!(now.position >= last && now.head >= now.position, "{now:?}");
                last = now.position;
            }
            last
        });
        let ended = rebuild.await.unwrap();
        assert_eq!(watched.await.unwrap(), ended.position);
        generation += 1;
        // Each read is consistent at the position that it names.
        let mut snapshot = reading.snapshot().await.unwrap();
        assert!(snapshot.head().position >= ended.position);
        let position = usize::try_from(snapshot.head().position).unwrap();
        let sql = format!("SELECT key, body FROM {} ORDER BY key", snapshot.table("documents"));
        let rows = snapshot.query(&sql, vec![]).await.unwrap();
        drop(snapshot);
        let read: Vec<_> =
            rows.iter().map(|row| (row[0].text().unwrap().to_owned(), row[1].text().unwrap().to_owned())).collect();
        assert_eq!(read, as_bytes(&by_hand(&whole(&store).await[..position])));
    }
    background.await.unwrap();
    compare(&store, &projections).await;
    let status = projections.statuses().await.unwrap().remove(0);
    assert_eq!((status.generation, status.rebuild), (generation, None));
    projections.close().await;
}

/// Mission X3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_rebuild_leaves_the_live_version_unchanged_and_is_continued() {
    let directory = tempfile::tempdir().unwrap();
    let store = file(directory.path()).await;
    let writer = Writer::new(&store);
    writer.append(medley(1, 30_000)).await;
    let firsts = Arc::new(Mutex::new(Vec::new()));
    let slow = {
        let firsts = firsts.clone();
        flaky(Documents::<Balance>::new(), move |_, batch| {
            firsts.lock().unwrap().push(batch.from.position);
            std::thread::sleep(Duration::from_millis(30));
            Fault::Never
        })
    };
    let projections = engine(&store, vec![slow]).await;
    compare(&store, &projections).await;
    let reading = projections.reading("balance").unwrap();
    let before = bytes(&reading).await;

    let rebuild = projections.rebuild("balance").unwrap();
    let again = projections.rebuild("balance").unwrap_err().to_string();
    assert_eq!(again, "a rebuild of `balance` is already running: wait for it, or cancel it");
    let mut progress = rebuild.progress();
    progress.wait_for(|progress| progress.position > 0).await.unwrap();
    assert!(projections.statuses().await.unwrap()[0].rebuild.is_some());
    rebuild.cancel().await;
    assert_eq!(bytes(&reading).await, before);
    assert_eq!(projections.statuses().await.unwrap()[0].generation, 1);

    firsts.lock().unwrap().clear();
    projections.rebuild("balance").unwrap().await.unwrap();
    assert!(firsts.lock().unwrap()[0] > 0, "it continues at its checkpoint");
    assert_eq!(bytes(&reading).await, before);
    assert_eq!(projections.statuses().await.unwrap()[0].generation, 2);

    // Closing the application also cancels it.
    let rebuild = projections.rebuild("balance").unwrap();
    projections.close().await;
    assert!(matches!(rebuild.await, Err(RebuildError::Cancelled(_))));
    store.close().await;
    let store = file(directory.path()).await;
    let projections = engine(&store, vec![balances()]).await;
    compare(&store, &projections).await;
    assert_eq!(projections.statuses().await.unwrap()[0].generation, 2);
    projections.close().await;
}

/// Mission X3: a rebuild is strict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_rebuild_names_its_event_and_leaves_the_live_version_unchanged() {
    let store = memory().await;
    Writer::new(&store).append((0..500).map(|number| deposit(number % 7, number)).collect()).await;
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sometimes = {
        let broken = broken.clone();
        flaky(Documents::<Balance>::new(), move |_, batch| {
            let hit = batch.events.iter().any(|stored| stored.position == 321);
            if broken.load(Ordering::Relaxed) && hit { Fault::PanicAfter } else { Fault::Never }
        })
    };
    let projections = engine(&store, vec![sometimes]).await;
    compare(&store, &projections).await;
    broken.store(true, Ordering::Relaxed);
    let error = projections.rebuild("balance").unwrap().await.unwrap_err();
    assert!(matches!(error, RebuildError::Event { position: 321, .. }), "{error}");
    compare(&store, &projections).await;
    broken.store(false, Ordering::Relaxed);
    projections.rebuild("balance").unwrap().await.unwrap();
    compare(&store, &projections).await;
    projections.close().await;
}

/// Mission X3: the process that runs the projection switches to a generation that another process rebuilt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_process_switches_to_the_generation_that_another_one_built() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    let writer = Writer::new(&store);
    writer.append(medley(1, 1_000)).await;
    let projections = engine(&store, vec![balances()]).await;
    let elsewhere = Projections::start(other, types(), vec![balances()], false).await.unwrap();
    for round in 0..5 {
        elsewhere.rebuild("balance").unwrap().await.unwrap();
        writer.append(medley(round, 100)).await;
        compare(&store, &projections).await;
    }
    assert_eq!(projections.statuses().await.unwrap()[0].generation, 6);
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_rebuilt_view_is_byte_equal_to_the_live_one_while_writers_write,
    a_cancelled_rebuild_leaves_the_live_version_unchanged_and_is_continued,
    a_failing_rebuild_names_its_event_and_leaves_the_live_version_unchanged,
    a_running_process_switches_to_the_generation_that_another_one_built,
}
