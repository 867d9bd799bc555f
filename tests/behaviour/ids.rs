//! The text of an id is read by one rule everywhere: the whole reference or the bare id.

use annals::projections::{ReadError, Selection};
use annals_test_postgres::Place;
use serde_json::json;

use crate::bank::{app, by, deposit, log};

annals_test_postgres::both_stores!(
    a_text_names_the_same_account_in_a_command_and_in_a_view,
    the_record_of_a_read_has_the_key_and_not_one_of_its_spellings,
);

/// The ids `9`, `account:9` and `user:9` are three accounts.
async fn a_text_names_the_same_account_in_a_command_and_in_a_view(place: &Place) {
    let annals = app().open(place.url()).await.expect("a store");
    for (id, cents) in [("9", 1), ("account:9", 2), ("user:9", 4)] {
        annals.execute(deposit(id, cents), &by("ann")).await.expect("a deposit");
    }
    let spellings = [("9", 10), ("account:9", 20), ("account:account:9", 40), ("account:user:9", 80)];
    let mut head = None;
    for (text, cents) in spellings {
        let body = json!({ "account": text, "cents": cents }).to_string();
        let receipt = annals.execute_json("deposit", &body, &by("ann")).expect("a body").await.expect("a receipt");
        head = Some(receipt.head);
    }
    let view = annals.json_view("balance").expect("a view").after(head.expect("a receipt"));
    for (text, cents) in [("9", 31), ("account:9", 31), ("account:account:9", 42), ("account:user:9", 84)] {
        assert_eq!(view.get(text).await.expect("a view").expect("a document")["cents"], cents, "{text}");
    }
    for other in ["user:9", "project:1"] {
        let body = json!({ "account": other, "cents": 1 }).to_string();
        let refused = annals.execute_json("deposit", &body, &by("ann")).is_err();
        assert!(refused, "{other} is a reference of another kind in a command");
        match view.get(other).await {
            Err(ReadError::Invalid(reason)) => assert!(reason.contains("write `account:…`"), "{reason}"),
            found => panic!("{other}: {found:?}"),
        }
    }
    let page = view.page(10, None).await.expect("a page");
    let keys: Vec<&str> = page.documents.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["9", "account:account:9", "account:user:9"], "each is read back as the same account");
    let rest = view.page(10, Some("account:9")).await.expect("a page");
    assert_eq!(rest.documents.len(), 2, "after the account 9");
    for key in ["account:9", "account:user:9"] {
        let rebuild = annals.rebuild_keys("balance", Selection::Key(key.to_owned())).expect("a rebuild");
        rebuild.await.expect("the document is rebuilt");
    }
    assert!(annals.rebuild_keys("balance", Selection::Key("user:9".to_owned())).is_err());
    annals.close().await;
}

/// Otherwise a rule about the key `9` would not hold for `account:9`.
async fn the_record_of_a_read_has_the_key_and_not_one_of_its_spellings(place: &Place) {
    let annals = app().record_reads().open(place.url()).await.expect("a store");
    annals.execute(deposit("9", 1), &by("ann")).await.expect("a deposit");
    for text in ["9", "account:9"] {
        annals.read_as(&by("bob")).json_view("balance", Some(text)).await.expect("a view");
    }
    annals.close().await;
    let annals = app().open(place.url()).await.expect("a store");
    let reads: Vec<String> = log(&annals).await.into_iter().skip(1).map(|event| event.payload).collect();
    assert!(!reads.is_empty() && reads.iter().all(|read| read.contains(r#""key":["9"]"#)), "{reads:?}");
    annals.close().await;
}
