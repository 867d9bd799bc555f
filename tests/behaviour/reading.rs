//! Read your own writes, and rebuilds of views.

use annals::events::Ref;
use annals_test_postgres::Place;

use crate::bank::*;

annals_test_postgres::both_stores!(
    a_read_after_a_receipt_includes_that_write,
    a_view_is_rebuilt_while_others_write_and_read,
);

/// Mission X4: a read after a receipt is never stale.
async fn a_read_after_a_receipt_includes_that_write(place: &Place) {
    let annals = open(place).await;
    for paid in 1..=100 {
        let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
        let balance = annals.view::<Balance>(&account("a")).after(receipt).await.unwrap().unwrap();
        assert_eq!(balance.cents, paid);
        let page =
            annals.audit().target(Ref::new("account", "a").unwrap()).newest_first().limit(1).after(receipt).page();
        assert_eq!(page.await.unwrap().rows[0].position, receipt.head.position);
        assert_eq!(annals.metric("bank").after(receipt).await.unwrap().total, paid as u64);
    }
    annals.close().await;
}

/// Missions X3, P20: a rebuilt view equals the live one while others write.
async fn a_view_is_rebuilt_while_others_write_and_read(place: &Place) {
    let annals = open(place).await;
    let writer = {
        let annals = annals.clone();
        tokio::spawn(async move {
            for n in 0..400 {
                annals.execute(deposit(&(n % 10).to_string(), n + 1), &by("alice")).await.unwrap();
            }
        })
    };
    for name in ["balance", "audit", "metrics", "balance"] {
        annals.rebuild(name).unwrap().await.unwrap();
    }
    writer.await.unwrap();
    let head = annals.store().head().await.unwrap();
    annals.reading("balance").unwrap().caught_up(head, None).await.unwrap();
    let live = annals.views::<Balance>().page(100, None).await.unwrap();
    annals.rebuild("balance").unwrap().await.unwrap();
    let rebuilt = annals.views::<Balance>().page(100, None).await.unwrap();
    assert_eq!(live.documents.len(), 10);
    assert_eq!(live, rebuilt);
    annals.close().await;
}

/// Mission D5: history outlives the process.
#[tokio::test]
async fn the_audit_log_has_events_from_before_the_process_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bank.db");
    let url = format!("sqlite://{}", file.display());
    let annals = app().open(&url).await.unwrap();
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    annals.close().await;
    std::fs::remove_file(directory.path().join("bank.views.db")).unwrap();
    let annals = app().open(&url).await.unwrap();
    let receipt = annals.execute(deposit("b", 6), &by("bob")).await.unwrap();
    let page = annals.audit().after(receipt).page().await.unwrap();
    let sentences: Vec<_> = page.rows.iter().map(|row| row.sentence.as_str()).collect();
    assert_eq!(sentences, ["user:alice paid 5 into account:a", "user:bob paid 6 into account:b"]);
    annals.close().await;
}
