//! Rebuilds of one key, of one type of aggregate, and of all projections in one pass.

use std::sync::atomic::{AtomicBool, Ordering};

use super::log::TestLog;
use super::*;

/// Damages the documents of the live generation by hand.
async fn spoil(store: &Arc<dyn Store>, projections: &Projections, sql: &str) {
    let (generation_id, head) = store.views().live("balance", balances().version()).await.unwrap();
    let mut transaction = store.views().begin(&generation_id, head, head).await.unwrap().unwrap();
    let sql = sql.replace("documents", &transaction.table("documents"));
    transaction.execute(&sql, vec![]).await.unwrap();
    transaction.commit().await.unwrap();
    let log = whole(store).await;
    assert_ne!(bytes(&projections.reading("balance").unwrap()).await, as_bytes(&by_hand(&log)), "{sql}");
}

/// Guarantee 23.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_rebuilt_in_place_while_writers_write() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    let writer = Arc::new(Writer::new(&store));
    writer.append(medley(1, 3_000)).await;
    // A key that gets no document is deleted: its account is closed.
    writer.append(vec![deposit(77, 1), close(77), deposit(3, 4)]).await;
    let projections = engine(&store, vec![balances()]).await;
    let elsewhere = Projections::start(other, types(), vec![balances()], false).await.unwrap();
    compare(&store, &projections).await;
    let key = |key: &str| Selection::Key(key.to_owned());
    spoil(&store, &projections, "UPDATE documents SET body = '{}' WHERE key = '3'").await;
    let damaged = ViewQuery::<Balance>::new(projections.reading("balance"), &AccountId::new("3")).await;
    assert!(damaged.unwrap_err().to_string().contains("raise the projection's version"));
    projections.rebuild_keys("balance", key("3")).unwrap().await.unwrap();
    compare(&store, &projections).await;
    spoil(&store, &projections, "INSERT INTO documents VALUES ('77', '{}')").await;
    projections.rebuild_keys("balance", key("77")).unwrap().await.unwrap();
    compare(&store, &projections).await;

    let done = Arc::new(AtomicBool::new(false));
    let background = tokio::spawn({
        let (writer, done) = (writer.clone(), done.clone());
        async move {
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                writer.append(medley(round, 5)).await;
            }
        }
    });
    for round in 0..8 {
        let engine = if round % 2 == 0 { &elsewhere } else { &projections };
        engine.rebuild_keys("balance", key(&round.to_string())).unwrap().await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    background.await.unwrap();
    compare(&store, &projections).await;
    assert_eq!(projections.statuses().await.unwrap()[0].generation, 1);
    projections.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_keys_of_one_type_of_aggregate_are_rebuilt() {
    let store = memory().await;
    let projections = engine(&store, vec![balances()]).await;
    Writer::new(&store).append(vec![deposit(1, 1), deposit(2, 2), deposit(3, 3), pass(&[2, 3])]).await;
    compare(&store, &projections).await;
    spoil(&store, &projections, "UPDATE documents SET body = '{}'").await;
    let gates = Selection::Aggregate("gate".to_owned());
    projections.rebuild_keys("balance", gates).unwrap().await.unwrap();
    let expected = as_bytes(&by_hand(&whole(&store).await));
    let now = bytes(&projections.reading("balance").unwrap()).await;
    assert_eq!(now[0], ("1".to_owned(), "{}".to_owned()), "no gate event touches it");
    assert_eq!(now[1..], expected[1..]);
    projections.close().await;
}

/// Issue 4, invalid input.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_or_aggregate_and_a_projection_without_keys_are_clear_errors() {
    let store = memory().await;
    let projections = engine(&store, vec![balances(), flaky_comets()]).await;
    Writer::new(&store).append(vec![deposit(1, 1), comet()]).await;
    compare(&store, &projections).await;
    let error = async |name: &str, selection| {
        projections.rebuild_keys(name, selection).unwrap().await.unwrap_err().to_string()
    };
    let unknown = error("balance", Selection::Key("nobody".to_owned())).await;
    assert_eq!(unknown, "nothing of `balance` was rebuilt: no event touches the key `nobody`");
    let unknown = error("balance", Selection::Aggregate("sky".to_owned())).await;
    assert_eq!(unknown, "nothing of `balance` was rebuilt: no event of an aggregate of type `sky` touches it");
    let whole = error("comets", Selection::Key("all".to_owned())).await;
    assert_eq!(whole, "the projection `comets` has no keys: rebuild it as a whole");
    compare(&store, &projections).await;
    projections.close().await;
}

/// A view whose keys the engine does not know.
fn flaky_comets() -> Arc<dyn Projection> {
    flaky(Documents::<Comets>::new(), |_, _| Fault::Never)
}

/// Issue 4, part 2: all projections in parallel from one shared pass over the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_rebuilt_in_one_pass_over_the_log() {
    let log = TestLog::new(memory().await);
    let store: Arc<dyn Store> = log.clone();
    log.push(medley(1, 20_000));
    let projections = engine(&store, vec![balances(), flaky_comets(), Arc::new(Documents::<Ledger>::new())]).await;
    for name in ["balance", "comets", "ledger"] {
        let reading = projections.reading(name).unwrap();
        reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(60))).await.unwrap();
    }
    let before = log.read.load(Ordering::Relaxed);
    for (name, begun) in projections.rebuild_all(SkipPolicy::Refuse) {
        let progress = begun.unwrap().await.unwrap();
        assert_eq!(progress.position, 20_000, "{name}");
    }
    let read = log.read.load(Ordering::Relaxed) - before;
    assert!((20_000..21_000).contains(&read), "{read} events read for three rebuilds of a log of 20,000");
    compare(&store, &projections).await;
    assert!(projections.statuses().await.unwrap().iter().all(|status| status.generation == 2));
    projections.close().await;
}

/// Wants all events of balances and comets.
#[derive(Default, Serialize, Deserialize)]
struct Ledger(u64);

impl DocumentView for Ledger {
    const NAME: &'static str = "ledger";
    type Key = Ref;
    type Events = (AccountEvent, GateEvent, RareEvent);
}

impl<E: crate::events::Event> On<E> for Ledger
where
    Ledger: DocumentView,
{
    fn keys(event: &Recorded<E>) -> Vec<Ref> {
        vec![event.aggregate.clone()]
    }

    fn apply(document: &mut Option<Self>, _: &Ref, _: &Recorded<E>) {
        document.get_or_insert_default().0 += 1;
    }
}

static SLOW: AtomicBool = AtomicBool::new(false);

/// The test that sets it holds the lock.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Is slow while `SLOW` is set.
#[derive(Default, Serialize, Deserialize)]
struct Snail(u64);

impl DocumentView for Snail {
    const NAME: &'static str = "snail";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Snail {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, _: &Recorded<AccountEvent>) {
        if SLOW.load(Ordering::Relaxed) {
            // A page of several thousand events takes longer than a lease lasts.
            std::thread::sleep(Duration::from_micros(2_500));
        }
        document.get_or_insert_default().0 += 1;
    }
}

/// Issue 4, part 2: the error of a second rebuild names the process and the progress of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_rebuild_of_a_projection_is_refused_in_any_process() {
    let _alone = ALONE.lock().await;
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    Writer::new(&store).append((0..12_000).map(|number| deposit(number % 7, 1)).collect()).await;
    let snail = || -> Vec<Arc<dyn Projection>> { vec![Arc::new(Documents::<Snail>::new())] };
    let projections = Projections::start(store.clone(), types(), snail(), false).await.unwrap();
    let elsewhere = Projections::start(other, types(), snail(), false).await.unwrap();
    SLOW.store(true, Ordering::Relaxed);
    let rebuild = projections.rebuild("snail").unwrap();
    let seen = async || elsewhere.statuses().await.unwrap().remove(0).rebuild;
    until("the other process sees it", async || seen().await.is_some_and(|progress| progress.head == 12_000)).await;
    let error = elsewhere.rebuild("snail").unwrap().await.unwrap_err();
    assert!(matches!(error, RebuildError::Running { elsewhere: true, .. }), "{error}");
    assert!(error.to_string().contains("already running in another process, at event "), "{error}");
    let key = elsewhere.rebuild_keys("snail", Selection::Key("1".to_owned())).unwrap().await.unwrap_err();
    assert!(matches!(key, RebuildError::Running { elsewhere: true, .. }), "{key}");
    rebuild.cancel().await;
    assert_eq!(seen().await, None);
    SLOW.store(false, Ordering::Relaxed);
    // Another process continues the cancelled rebuild: at once, or when the lease expires if a busy machine could
    // not release it.
    until("the rebuild is continued", async || elsewhere.rebuild("snail").unwrap().await.is_ok()).await;
    let page = ViewList::<Snail>::new(elsewhere.reading("snail")).await.unwrap();
    assert_eq!(page.documents.iter().map(|(_, snail)| snail.0).sum::<u64>(), 12_000);
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    one_key_is_rebuilt_in_place_while_writers_write,
    all_keys_of_one_type_of_aggregate_are_rebuilt,
    an_unknown_key_or_aggregate_and_a_projection_without_keys_are_clear_errors,
    all_are_rebuilt_in_one_pass_over_the_log,
    a_second_rebuild_of_a_projection_is_refused_in_any_process,
}
