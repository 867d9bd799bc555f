//! Dead letters: events that are skipped and replayed.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::store::{Column, OnConflict, Table};

/// The positions that a projection applied.
const SEEN: Table = Table::new("seen", &[Column::integer("position")], &[]);

/// Balances of a view that fails on deposits of 666 while `BROKEN` is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Fussy(Balance);

static BROKEN: AtomicBool = AtomicBool::new(false);

/// The test that sets it holds the lock.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl DocumentView for Fussy {
    const NAME: &'static str = "balance";
    type Key = AccountId;
    type Events = (AccountEvent, GateEvent);
}

impl On<AccountEvent> for Fussy {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        <Balance as On<AccountEvent>>::keys(event)
    }

    fn apply(document: &mut Option<Self>, key: &AccountId, event: &Recorded<AccountEvent>) {
        let broken = BROKEN.load(Ordering::Relaxed);
        assert!(!(broken && event.event == AccountEvent::Deposited { cents: 666 }), "no such number");
        let mut balance = document.take().map(|fussy| fussy.0);
        <Balance as On<AccountEvent>>::apply(&mut balance, key, event);
        *document = balance.map(Fussy);
    }
}

impl On<GateEvent> for Fussy {
    fn keys(event: &Recorded<GateEvent>) -> Vec<AccountId> {
        <Balance as On<GateEvent>>::keys(event)
    }

    fn apply(document: &mut Option<Self>, key: &AccountId, event: &Recorded<GateEvent>) {
        let mut balance = document.take().map(|fussy| fussy.0);
        <Balance as On<GateEvent>>::apply(&mut balance, key, event);
        *document = balance.map(Fussy);
    }
}

fn fussy() -> Arc<dyn Projection> {
    Arc::new(Documents::<Fussy>::new())
}

async fn stopped_at(projections: &Projections, position: u64) {
    until("it stops", async || match projections.statuses().await.unwrap().remove(0).state {
        ProjectionState::Stopped(stop) => stop.position == Some(position),
        _ => false,
    })
    .await;
}

async fn settled(store: &Arc<dyn Store>, projections: &Projections) -> Vec<(String, String)> {
    until("the projection continues", async || !projections.statuses().await.unwrap()[0].is_stopped()).await;
    let reading = projections.reading("balance").unwrap();
    reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(20))).await.unwrap();
    bytes(&reading).await
}

/// The expected documents, without the events skipped under each key.
fn without(log: &[Stored], parked: &[(&str, u64)]) -> Vec<(String, String)> {
    let whole = by_hand(log);
    let mut kept = as_bytes(&whole);
    for (key, position) in parked {
        let before = by_hand(&log[..*position as usize - 1]);
        kept.retain(|(other, _)| other != key);
        kept.extend(as_bytes(&before).into_iter().filter(|(other, _)| other == key));
    }
    kept.sort();
    kept
}

/// Guarantee 24.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_parks_its_key_and_replay_applies_all_in_order() {
    let _alone = ALONE.lock().await;
    BROKEN.store(true, Ordering::Relaxed);
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    let writer = Writer::new(&store);
    let projections = engine(&store, vec![fussy()]).await;
    let elsewhere = Projections::start(other, types(), vec![fussy()], false).await.unwrap();
    assert!(matches!(elsewhere.skip("balance").await, Err(RepairError::NotStopped(_))));
    writer.append(vec![deposit(1, 5), deposit(2, 5), pass(&[1, 2])]).await;
    writer.append(vec![deposit(1, 666), deposit(2, 7), deposit(1, 8), pass(&[1, 2])]).await;
    stopped_at(&projections, 4).await;

    // Any process may skip it.
    let letters = elsewhere.skip("balance").await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].position, letters[0].key.as_deref(), letters[0].attempts), (4, Some("1"), 5));
    assert!(letters[0].error.as_deref().unwrap().contains("no such number"), "{letters:?}");
    let parked = [("1", 4)];
    assert_eq!(settled(&store, &projections).await, without(&whole(&store).await, &parked));
    let queued = projections.dead_letters("balance").await.unwrap();
    let found: Vec<_> = queued.iter().map(|letter| (letter.position, letter.error.is_some())).collect();
    assert_eq!(found, [(4, true), (6, false), (7, false)], "{queued:?}");
    let status = elsewhere.statuses().await.unwrap().remove(0);
    assert_eq!((status.dead_letters, status.is_stopped()), (3, false));
    let watched = ViewQuery::<Balance>::new(projections.reading("balance"), &AccountId::new("1")).watch().await;
    assert!(watched.err().unwrap().to_string().contains("projections replay balance"));

    // The view continues around the parked key, also after a restart.
    projections.close().await;
    let projections = engine(&store, vec![fussy()]).await;
    writer.append(vec![deposit(3, 1), close(1), deposit(1, 9), pass(&[3, 1, 2])]).await;
    assert_eq!(settled(&store, &projections).await, without(&whole(&store).await, &parked));

    // A rebuild fails unless it skips the same events.
    let refused = projections.rebuild("balance").unwrap().await.unwrap_err();
    assert!(matches!(refused, RebuildError::Skips { events: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("--keep-skips"), "{refused}");
    projections.rebuild_with("balance", SkipPolicy::Keep).unwrap().await.unwrap();
    let kept = settled(&store, &projections).await;
    assert_eq!(kept, without(&whole(&store).await, &parked));
    let again: Vec<u64> =
        projections.dead_letters("balance").await.unwrap().iter().map(|letter| letter.position).collect();
    assert_eq!(again, [4, 6, 7, 9, 10, 11]);

    // The event still fails: nothing changes.
    let failed = projections.replay("balance").await.unwrap_err();
    assert!(matches!(failed, RepairError::Event { position: 4, .. }), "{failed}");
    assert_eq!(settled(&store, &projections).await, kept);

    BROKEN.store(false, Ordering::Relaxed);
    assert_eq!(elsewhere.replay("balance").await.unwrap(), 6);
    assert_eq!(projections.dead_letters("balance").await.unwrap(), []);
    compare(&store, &projections).await;
    writer.append(vec![deposit(1, 666), deposit(1, 1)]).await;
    compare(&store, &projections).await;
    projections.rebuild("balance").unwrap().await.unwrap();
    compare(&store, &projections).await;
    projections.close().await;
}

/// Counts events, without keys.
struct Count(Arc<AtomicBool>);

#[async_trait]
impl Projection for Count {
    fn name(&self) -> &str {
        "count"
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&SEEN).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        if self.0.load(Ordering::Relaxed) && batch.events.iter().any(|stored| stored.position == 3) {
            return Err(ProjectionError::Other("not the third".into()));
        }
        let rows = batch.events.iter().map(|stored| vec![stored.position.into()]).collect();
        Ok(transaction.insert_rows(&SEEN, rows, OnConflict::Fail).await?)
    }
}

async fn seen(projections: &Projections) -> Vec<i64> {
    let mut snapshot = projections.reading("count").unwrap().snapshot().await.unwrap();
    let sql = format!("SELECT position FROM {} ORDER BY position", snapshot.table("seen"));
    let rows = snapshot.query(&sql, vec![]).await.unwrap();
    rows.iter().flatten().filter_map(crate::store::Cell::integer).collect()
}

/// Guarantee 24: without keys only the event itself is skipped, and replaying it rebuilds the projection so that it
/// is applied in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_only_the_event_is_skipped_and_replay_rebuilds_the_projection() {
    let store = memory().await;
    let broken = Arc::new(AtomicBool::new(true));
    let projections = engine(&store, vec![Arc::new(Count(broken.clone()))]).await;
    let receipt = Writer::new(&store).append((0..6).map(|number| deposit(number, 1)).collect()).await;
    stopped_at(&projections, 3).await;
    let letters = projections.skip("count").await.unwrap();
    assert_eq!((letters.len(), letters[0].position, &letters[0].key), (1, 3, &None));
    until("the projection continues", async || !projections.statuses().await.unwrap()[0].is_stopped()).await;
    let reading = projections.reading("count").unwrap();
    reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(seen(&projections).await, [1, 2, 4, 5, 6]);
    assert!(matches!(projections.rebuild("count").unwrap().await, Err(RebuildError::Skips { .. })));
    projections.rebuild_with("count", SkipPolicy::Keep).unwrap().await.unwrap();
    assert_eq!(seen(&projections).await, [1, 2, 4, 5, 6]);
    assert!(matches!(projections.replay("count").await, Err(RepairError::Rebuild(RebuildError::Event { .. }))));
    assert_eq!(seen(&projections).await, [1, 2, 4, 5, 6]);
    broken.store(false, Ordering::Relaxed);
    projections.replay("count").await.unwrap();
    assert_eq!(seen(&projections).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(projections.dead_letters("count").await.unwrap(), []);
    projections.close().await;
}

/// The process that runs the projection notices a skip in another process a moment later. A read meanwhile waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_right_after_a_skip_in_another_process_waits_until_the_projection_continues() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    let count = || -> Vec<Arc<dyn Projection>> { vec![Arc::new(Count(Arc::new(AtomicBool::new(true))))] };
    let projections = engine(&store, count()).await;
    let elsewhere = Projections::start(other, types(), count(), false).await.unwrap();
    let receipt = Writer::new(&store).append((0..6).map(|number| deposit(number, 1)).collect()).await;
    stopped_at(&projections, 3).await;
    let reading = projections.reading("count").unwrap();
    let before = reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap_err();
    assert!(matches!(before, ReadError::Stopped { .. }), "{before}");
    elsewhere.skip("count").await.unwrap();
    reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(seen(&projections).await, [1, 2, 4, 5, 6]);
    elsewhere.close().await;
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_read_right_after_a_skip_in_another_process_waits_until_the_projection_continues,
    a_dead_letter_parks_its_key_and_replay_applies_all_in_order,
    without_keys_only_the_event_is_skipped_and_replay_rebuilds_the_projection,
}
