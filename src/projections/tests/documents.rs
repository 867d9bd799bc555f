//! Document views.

use proptest::prelude::*;

use super::log::TestLog;
use super::*;
use crate::projections::engine::write::{set_up, step};
use crate::store::{GenerationId, Views};

async fn read(views: &dyn Views, version: u64) -> Vec<(String, String)> {
    let mut snapshot = views.read("balance", version).await.unwrap();
    let sql = format!("SELECT key, body FROM {} ORDER BY key", snapshot.table("documents"));
    let rows = snapshot.query(&sql, vec![]).await.unwrap();
    rows.iter().map(|row| (row[0].text().unwrap().to_owned(), row[1].text().unwrap().to_owned())).collect()
}

async fn made(views: &dyn Views, version: u64) -> GenerationId {
    let (generation_id, _) = views.live("balance", version).await.unwrap();
    set_up(views, &*balances(), &generation_id, true).await.unwrap();
    generation_id
}

/// Mission P21: events applied one by one, in pieces of any size, or all at once give the same bytes at every
/// position.
#[test]
fn single_events_and_batches_give_the_same_bytes_at_every_position() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(memory());
    let views = store.views();
    let versions = AtomicU64::new(1);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
    let given = (any::<u64>(), prop::collection::vec(1_usize..9, 1..12));
    let tested = runner.run(&given, |(seed, pieces)| {
        let log = TestLog::new(store.clone());
        log.push(medley(seed, pieces.iter().sum::<usize>() as u64));
        runtime.block_on(async {
            let log: Arc<dyn Store> = log;
            let events = whole(&log).await;
            let version = versions.fetch_add(1, Ordering::Relaxed);
            let incremental = made(&*views, version).await;
            let mut from = LogPosition::default();
            let mut done = 0;
            for piece in pieces {
                let piece = &events[done..done + piece];
                let to = piece.last().unwrap().head();
                let batch = EventBatch { from, to, events: piece };
                assert!(step(&*views, &*balances(), &incremental, batch, false).await.unwrap());
                from = to;
                done += piece.len();
                let now = read(&*views, version).await;
                assert_eq!(now, as_bytes(&by_hand(&events[..done])));

                let all_at_once = 1_000_000 * version + done as u64;
                let generation_id = made(&*views, all_at_once).await;
                let batch = EventBatch { from: LogPosition::default(), to, events: &events[..done] };
                assert!(step(&*views, &*balances(), &generation_id, batch, false).await.unwrap());
                assert_eq!(now, read(&*views, all_at_once).await);
            }
        });
        Ok(())
    });
    tested.unwrap();
}

/// Mission P21: one view of two event enums, with old event names; a document that becomes `None` is deleted.
#[tokio::test]
async fn a_view_of_several_event_enums_deletes_documents_that_become_none() {
    let store = memory().await;
    let projections = engine(&store, vec![balances()]).await;
    let writer = Writer::new(&store);
    let filled = NewEvent::new("account.filled", "1.0", r#"{"cents":3}"#.to_owned());
    writer.append(vec![deposit(1, 5), deposit(2, 6), (deposit(1, 0).0, filled), pass(&[1, 2, 1, 3])]).await;
    let receipt = writer.append(vec![close(2)]).await;
    let get = async |account: &str| {
        let query = ViewQuery::<Balance>::new(projections.reading("balance"), &AccountId::new(account));
        query.after(receipt).await.unwrap()
    };
    let one = get("1").await.unwrap();
    assert_eq!((one.cents, one.events, one.passed), (8, 3, 1));
    assert_eq!((get("2").await, get("3").await), (None, None));
    projections.close().await;
}

#[tokio::test]
async fn pages_of_documents_concatenate_to_all_documents_in_key_order() {
    let store = memory().await;
    let projections = engine(&store, vec![balances(), comets()]).await;
    let receipt = Writer::new(&store).append((0..25).map(|number| deposit(number, number)).collect()).await;
    let (mut keys, mut last) = (Vec::new(), None);
    loop {
        let list = ViewList::<Balance>::new(projections.reading("balance")).after(receipt);
        let page = list.page(7, last.as_ref()).await.unwrap();
        assert_eq!(page.at, receipt.head);
        last = page.documents.last().map(|(key, _)| key.clone());
        keys.extend(page.documents.into_iter().map(|(key, balance)| (key.text().into_owned(), balance.cents)));
        if !page.more {
            break;
        }
    }
    let mut expected: Vec<_> = (0..25).map(|number| (number.to_string(), number)).collect();
    expected.sort();
    assert_eq!(keys, expected);

    let json = JsonView::new(projections.reading("balance").unwrap()).unwrap().after(receipt);
    assert_eq!(json.get("7").await.unwrap().unwrap()["cents"], 7);
    assert_eq!(json.get("none").await.unwrap(), None);
    let page = json.page(2, Some("7")).await.unwrap();
    assert_eq!(page.documents.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["8", "9"]);
    assert!(!page.more);
    projections.close().await;
}

#[tokio::test]
async fn a_view_with_a_raised_version_is_rebuilt() {
    #[derive(Serialize, Deserialize)]
    struct Second(u64);
    impl DocumentView for Second {
        const NAME: &'static str = "balance";
        const VERSION: u64 = 2;
        type Key = String;
        type Events = AccountEvent;
    }
    impl On<AccountEvent> for Second {
        fn keys(event: &Recorded<AccountEvent>) -> Vec<String> {
            vec![event.event_type().to_owned()]
        }
        fn apply(document: &mut Option<Self>, _: &String, _: &Recorded<AccountEvent>) {
            document.get_or_insert(Second(0)).0 += 1;
        }
    }
    use cqrs_es::DomainEvent as _;
    let store = memory().await;
    let receipt = Writer::new(&store).append(vec![deposit(1, 5), deposit(2, 5), close(1)]).await;
    let first = engine(&store, vec![balances()]).await;
    compare(&store, &first).await;
    first.close().await;
    let second = engine(&store, vec![Arc::new(Documents::<Second>::new())]).await;
    let reading = second.reading("balance").unwrap();
    reading.caught_up(receipt.head, None).await.unwrap();
    let expected = [("account.closed", "1"), ("account.deposited", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(bytes(&reading).await, expected);
    second.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    single_events_and_batches_give_the_same_bytes_at_every_position,
    a_view_of_several_event_enums_deletes_documents_that_become_none,
    pages_of_documents_concatenate_to_all_documents_in_key_order,
    a_view_with_a_raised_version_is_rebuilt,
}
