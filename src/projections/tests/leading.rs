//! Several processes share the projections of one store.

use super::*;
use crate::store::{Column, OnConflict, Table};

/// The positions that a projection applied.
const SEEN: Table = Table::new("seen", &[Column::integer("position")], &[]);

/// Short terms for a test.
fn terms() -> LeaseTerms {
    let [term, renew, settle] = [600, 100, 150].map(Duration::from_millis);
    LeaseTerms { term, renew, settle }
}

async fn process(store: &Arc<dyn Store>, projections: Vec<Arc<dyn Projection>>) -> Projections {
    Projections::start_on(store.clone(), types(), projections, Some(terms())).await.unwrap()
}

/// The number of projections of each leader.
async fn shares(projections: &Projections) -> Vec<usize> {
    let mut shares: BTreeMap<Uuid, usize> = BTreeMap::new();
    for status in projections.statuses().await.unwrap() {
        if let Some(leader) = status.leader {
            *shares.entry(leader).or_default() += 1;
        }
    }
    shares.into_values().collect()
}

/// Counts its batches, and behaves like the balances.
fn counted(runs: &Arc<AtomicU64>) -> Arc<dyn Projection> {
    let runs = runs.clone();
    flaky(Documents::<Balance>::new(), move |_, batch| {
        runs.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        Fault::Never
    })
}

/// Guarantee 19, Mission X4: one process runs the projection, both read their writes, and no event is applied
/// twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_runs_a_projection_and_the_others_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let runs = [0, 1].map(|_| Arc::new(AtomicU64::new(0)));
    let first = process(&stores[0], vec![counted(&runs[0])]).await;
    let second = process(&stores[1], vec![counted(&runs[1])]).await;
    let writers = [Writer::new(&stores[0]), Writer::new(&stores[1])];
    for total in 1..=60 {
        // On separate accounts: a writer knows only its own sequences.
        for (number, (writer, reader)) in writers.iter().zip([&second, &first]).enumerate() {
            let receipt = writer.append(vec![deposit(number, 1)]).await;
            let key = AccountId::new(number.to_string());
            let balance = ViewQuery::<Balance>::new(reader.reading("balance"), &key).after(receipt).await.unwrap();
            assert_eq!(balance.unwrap().cents, total);
        }
    }
    assert_eq!(runs[0].load(Ordering::Relaxed), 120, "each event once");
    assert_eq!(runs[1].load(Ordering::Relaxed), 0, "the second process only reads");
    for engine in [first, second] {
        compare(&stores[0], &engine).await;
        engine.close().await;
    }
}

/// Issue 4, part 7.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_are_spread_evenly_and_a_closed_process_is_replaced_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let first = process(&stores[0], vec![balances(), comets()]).await;
    assert_eq!(shares(&first).await, [2], "who is alone leads all");
    let second = process(&stores[1], vec![balances(), comets()]).await;
    until("each leads one", async || shares(&first).await == [1, 1]).await;
    let writer = Writer::new(&stores[0]);
    writer.append(medley(1, 100)).await;
    for engine in [&first, &second] {
        compare(&stores[0], engine).await;
    }
    first.close().await;
    let receipt = writer.append(medley(2, 100)).await;
    for name in ["balance", "comets"] {
        let reading = second.reading(name).unwrap();
        reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    }
    assert_eq!(shares(&second).await, [2]);
    compare(&stores[1], &second).await;
    second.close().await;
    assert!(stores[0].views().generations().await.unwrap().iter().all(|generation| generation.leader.is_none()));
}

/// Issue 4, part 7: failover within seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_projections_of_a_dead_process_are_run_by_another_after_its_term() {
    let directory = tempfile::tempdir().unwrap();
    let store = file(directory.path()).await;
    let wanted = [("balance".to_owned(), balances().version())];
    let dead = store.views().acquire_leases(Uuid::new_v4(), &wanted, Duration::from_secs(1)).await.unwrap();
    assert_eq!(dead, wanted);
    let engine = process(&store, vec![balances()]).await;
    let receipt = Writer::new(&store).append(vec![deposit(1, 1)]).await;
    let reading = engine.reading("balance").unwrap();
    let late = reading.caught_up(receipt.head, Some(Duration::from_millis(100))).await.unwrap_err();
    assert!(matches!(late, ReadError::Late { .. }), "the dead one may only be slow: {late}");
    reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    compare(&store, &engine).await;
    engine.close().await;
}

/// Guarantee 19: the checkpoint fences off a process that wrongly believes that it leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_both_believe_to_lead_count_every_event_once() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let engines = [process(&stores[0], vec![balances()]).await, process(&stores[1], vec![balances()]).await];
    let writer = Writer::new(&stores[0]);
    for round in 0..100 {
        for engine in &engines {
            engine.handle("balance").unwrap().lead(true);
        }
        writer.append(medley(round, 5)).await;
    }
    for (store, engine) in stores.iter().zip(&engines) {
        compare(store, engine).await;
        engine.close().await;
    }
}

/// Wants all events, and knows some types.
struct Knows(&'static [&'static str]);

#[async_trait]
impl Projection for Knows {
    fn name(&self) -> &str {
        "knows"
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&SEEN).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        if let Some(stored) = batch.events.iter().find(|stored| !self.0.contains(&&*stored.event_type)) {
            let source = crate::events::DecodeError::UnknownType(stored.event_type.clone());
            return Err(ProjectionError::Decode { position: stored.position, source });
        }
        let rows = batch.events.iter().map(|stored| vec![stored.position.into()]).collect();
        Ok(transaction.insert_rows(&SEEN, rows, OnConflict::Fail).await?)
    }
}

/// Guarantee 22: an old and a new program run together, an event has a type that only the new one knows, and the
/// deployment is rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_know_an_event_type_gives_the_projection_to_one_that_does() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [file(directory.path()).await, file(directory.path()).await];
    let old = process(&stores[0], vec![Arc::new(Knows(&["account.deposited"]))]).await;
    let writer = Writer::new(&stores[0]);
    writer.append(vec![deposit(1, 1)]).await;
    let receipt = writer.append(vec![comet(), deposit(1, 1)]).await;
    let state = async || old.statuses().await.unwrap().remove(0).state;
    until("it waits", async || matches!(state().await, ProjectionState::Waiting(_))).await;
    let words = state().await.to_string();
    assert_eq!(words, "blocked at event 2: this program does not know the event type `rare.comet`");
    let status = old.statuses().await.unwrap().remove(0);
    assert!(!status.is_stopped(), "it is no failure");
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!((&json["state"], &json["position"], &json["event"]), (&"waiting".into(), &1.into(), &2.into()));
    let reading = old.reading("knows").unwrap();
    let error = reading.caught_up(receipt.head, None).await.unwrap_err();
    assert!(matches!(error, ReadError::Waiting { .. }), "{error}");
    assert_eq!(reading.snapshot().await.unwrap().head().position, 1, "the events before it are applied");
    // Another program may not drop a version that this one reads.
    let other = Projections::start(stores[1].clone(), types(), vec![], false).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(other.prune().await.unwrap(), []);

    let new = process(&stores[1], vec![Arc::new(Knows(&["account.deposited", "rare.comet"]))]).await;
    new.reading("knows").unwrap().caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    until("the old one reads on", async || reading.caught_up(receipt.head, None).await.is_ok()).await;

    // Rolled back: the old program continues with the events it knows.
    new.close().await;
    let receipt = writer.append(vec![deposit(1, 1)]).await;
    until("the projection continues", async || {
        reading.caught_up(receipt.head, Some(Duration::from_secs(1))).await.is_ok()
    })
    .await;
    old.close().await;
    assert_eq!(other.prune().await.unwrap().len(), 1, "now nobody uses it");
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    one_process_runs_a_projection_and_the_others_read_it,
    leaders_are_spread_evenly_and_a_closed_process_is_replaced_at_once,
    the_projections_of_a_dead_process_are_run_by_another_after_its_term,
    two_processes_that_both_believe_to_lead_count_every_event_once,
    a_program_that_does_not_know_an_event_type_gives_the_projection_to_one_that_does,
}
