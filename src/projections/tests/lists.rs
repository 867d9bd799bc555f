//! Lists by declared fields, and documents watched live.

use std::pin::pin;

use futures::StreamExt;
use proptest::prelude::*;

use super::*;
use crate::store::Dialect;

/// The content of an account: listed by kind, ordered by cents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Purse {
    kind: String,
    cents: Option<i64>,
}

impl DocumentView for Purse {
    const NAME: &'static str = "purses";
    const FIELDS: &'static [Field<Self>] =
        &[Field::text("kind", |purse| Some(purse.kind.clone())), Field::number("cents", |purse| purse.cents)];
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Purse {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, key: &AccountId, event: &Recorded<AccountEvent>) {
        let AccountEvent::Deposited { cents } = event.event else {
            *document = None;
            return;
        };
        let purse = document.get_or_insert_default();
        purse.kind = if key.text().len().is_multiple_of(2) { "even" } else { "odd" }.to_owned();
        // A purse of 13 has no fields.
        purse.cents = Some(cents as i64).filter(|cents| *cents != 13);
    }
}

fn purses() -> Arc<dyn Projection> {
    Arc::new(Documents::<Purse>::new())
}

/// Issue 4, part 5: lists equal a filter and a sort by hand, page by page, for a live and a rebuilt view.
#[test]
fn lists_equal_a_filter_and_sort_by_hand_page_by_page() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (store, projections, all) = runtime.block_on(async {
        let store = memory().await;
        let projections = engine(&store, vec![purses()]).await;
        let writer = Writer::new(&store);
        let numbers = (0..300_u64).map(|number| number.wrapping_mul(7_919) % 1_009);
        writer.append(numbers.clone().map(|number| deposit(number, number % 41)).collect()).await;
        let receipt = writer.append(numbers.step_by(7).map(close).collect()).await;
        let query = ViewList::<Purse>::new(projections.reading("purses")).after(receipt);
        let all = query.page(10_000, None).await.unwrap().documents;
        assert!(all.len() > 200, "{}", all.len());
        (store, projections, all)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(60));
    let given = (any::<Option<bool>>(), any::<bool>(), prop::option::of(-1..42_i64), any::<bool>(), 1..60_usize);
    let tested = runner.run(&given, |(kind, ordered, cents, descending, limit)| {
        let kind = kind.map(|even| if even { "even" } else { "odd" });
        let mut expected: Vec<_> = all.clone();
        expected.retain(|(_, purse)| kind.is_none_or(|kind| purse.kind == kind));
        expected.retain(|(_, purse)| cents.is_none_or(|cents| purse.cents == Some(cents)));
        expected.retain(|(_, purse)| !ordered || purse.cents.is_some());
        expected.sort_by_key(|(key, purse)| (purse.cents.filter(|_| ordered), key.text().into_owned()));
        if descending {
            expected.reverse();
        }
        let pages = async {
            let (mut found, mut cursor) = (Vec::new(), None::<ViewCursor>);
            loop {
                let mut list = ViewList::<Purse>::new(projections.reading("purses")).limit(limit);
                if let Some(kind) = kind {
                    list = list.filter("kind", kind);
                }
                if let Some(cents) = cents {
                    list = list.filter("cents", cents);
                }
                list = if ordered { list.order("cents") } else { list };
                list = if descending { list.descending() } else { list };
                if let Some(cursor) = &cursor {
                    list = list.cursor(&cursor.to_string().parse().unwrap());
                }
                let page = list.await.unwrap();
                assert!(page.documents.len() <= limit && page.more == page.next.is_some());
                found.extend(page.documents);
                cursor = page.next;
                if cursor.is_none() {
                    return found;
                }
            }
        };
        assert_eq!(runtime.block_on(pages), expected);
        Ok(())
    });
    tested.unwrap();
    runtime.block_on(async {
        let bodies = async || {
            let mut snapshot = projections.reading("purses").unwrap().snapshot().await.unwrap();
            let sql = format!("SELECT * FROM {} ORDER BY key", snapshot.table("documents"));
            snapshot.query(&sql, vec![]).await.unwrap()
        };
        let before = bodies().await;
        projections.rebuild("purses").unwrap().await.unwrap();
        assert_eq!(bodies().await, before, "fields and all");
        projections.close().await;
        store.close().await;
    });
}

/// Issue 4, part 5: fields are indexed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_uses_an_index_before_and_after_a_rebuild() {
    let store = memory().await;
    let projections = engine(&store, vec![purses()]).await;
    let receipt = Writer::new(&store).append((0..2_000).map(|number| deposit(number, number)).collect()).await;
    let reading = projections.reading("purses").unwrap();
    reading.caught_up(receipt.head, Some(Duration::from_secs(20))).await.unwrap();
    for _ in 0..2 {
        let mut snapshot = reading.snapshot().await.unwrap();
        let (explain, by_index, sorts) = match snapshot.dialect() {
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", "USING INDEX", "TEMP B-TREE"),
            Dialect::Postgres => ("EXPLAIN", "Index Scan using", "Sort"),
        };
        let table = snapshot.table("documents");
        let sql = format!(
            "{explain} SELECT key, body, \"f_cents\" FROM {table} WHERE \"f_cents\" IS NOT NULL \
             AND (\"f_cents\", key) > (5, '5') ORDER BY \"f_cents\", key LIMIT 50"
        );
        let plan = format!("{:?}", snapshot.query(&sql, vec![]).await.unwrap());
        assert!(plan.contains(by_index) && !plan.contains(sorts), "{plan}");
        drop(snapshot);
        projections.rebuild("purses").unwrap().await.unwrap();
    }
    projections.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_a_value_of_another_kind_and_a_foreign_cursor_are_clear_errors() {
    let store = memory().await;
    let projections = engine(&store, vec![purses(), comets()]).await;
    let receipt = Writer::new(&store).append((0..9).map(|number| deposit(number, number)).collect()).await;
    let list = || ViewList::<Purse>::new(projections.reading("purses")).after(receipt);
    let error = list().filter("colour", "red").await.unwrap_err().to_string();
    assert!(error.starts_with("`purses` has no field `colour`: declared are `kind`, `cents`"), "{error}");
    let error = ViewList::<Comets>::new(projections.reading("comets")).order("size").await.unwrap_err().to_string();
    assert!(error.starts_with("`comets` has no field `size`: declared are none"), "{error}");
    let error = list().filter("cents", "many").await.unwrap_err().to_string();
    assert!(error.contains("the field `cents` of `purses` is a whole number"), "{error}");
    let next = list().order("cents").limit(3).await.unwrap().next.unwrap();
    let error = list().order("kind").cursor(&next).await.unwrap_err().to_string();
    assert!(error.contains("the cursor belongs to another query"), "{error}");
    for bad in ["", "zz", "00", "é"] {
        assert_eq!(bad.parse::<ViewCursor>(), Err(QueryError::DamagedCursor), "{bad}");
    }
    projections.close().await;
}

/// Mission P4: a subscriber gets the current value, then each change, in a process that does not run the
/// projection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_document_yields_its_value_then_each_change() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (file(directory.path()).await, file(directory.path()).await);
    let writer = Writer::new(&store);
    let receipt = writer.append(vec![deposit(1, 5)]).await;
    let projections = engine(&store, vec![balances()]).await;
    let elsewhere = Projections::start(other, types(), vec![balances()], false).await.unwrap();
    let query = ViewQuery::<Balance>::new(elsewhere.reading("balance"), &AccountId::new("1")).after(receipt);
    let mut changes = pin!(query.watch().await.unwrap());
    let mut next = async || {
        let next = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap()?.unwrap();
        Some((next.at.position, next.document.map(|balance| (balance.cents, balance.passed))))
    };
    assert_eq!(next().await, Some((1, Some((5, 0)))));
    // In one commit or many, each change arrives; changes of other documents do not.
    writer.append(vec![deposit(2, 9), deposit(1, 1), paint(), deposit(1, 2), pass(&[2, 1])]).await;
    assert_eq!(next().await, Some((3, Some((6, 0)))));
    assert_eq!(next().await, Some((5, Some((8, 0)))));
    assert_eq!(next().await, Some((6, Some((8, 1)))));
    writer.append(vec![close(1), close(2)]).await;
    assert_eq!(next().await, Some((7, None)));
    writer.append(vec![deposit(1, 4)]).await;
    assert_eq!(next().await, Some((9, Some((4, 0)))));
    elsewhere.close().await;
    assert_eq!(next().await, None, "it ends with the application");
    projections.close().await;
}

/// Mission P4: an event that leaves the document unchanged is no change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_changes_nothing_is_not_sent_to_watchers() {
    let store = memory().await;
    let projections = engine(&store, vec![purses()]).await;
    let query = ViewQuery::<Purse>::new(projections.reading("purses"), &AccountId::new("1"));
    let mut changes = pin!(query.watch().await.unwrap());
    let writer = Writer::new(&store);
    writer.append([5, 5, 5, 6].map(|cents| deposit(1, cents)).into()).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|(_, cents)| *cents != Some(6)) {
        let next = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.unwrap().unwrap().unwrap();
        seen.push((next.at.position, next.document.and_then(|purse| purse.cents)));
    }
    assert_eq!(seen, [(0, None), (1, Some(5)), (4, Some(6))]);
    projections.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    lists_equal_a_filter_and_sort_by_hand_page_by_page,
    a_filter_uses_an_index_before_and_after_a_rebuild,
    an_unknown_field_a_value_of_another_kind_and_a_foreign_cursor_are_clear_errors,
    a_watched_document_yields_its_value_then_each_change,
    an_event_that_changes_nothing_is_not_sent_to_watchers,
}
