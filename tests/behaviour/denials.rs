//! Denied commands and reads: before anything is loaded, and recorded within bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::app::{AccessContext, Ask, Denial, ReaderError};
use annals::commands::ExecuteError;
use annals::events::Action;
use annals::prelude::*;
use annals::projections::Listing;
use annals::projections::audit::{AuditError, AuditRow};
use annals_test_postgres::Place;
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::access_log::{after_closing, sentences};
use crate::bank::*;

annals_test_postgres::both_stores! {
    a_denial_comes_before_prepare_and_before_anything_is_loaded_and_is_recorded,
    denied_reads_read_nothing_and_are_recorded,
    lists_and_counts_of_documents_are_denied_recorded_and_selected,
    the_log_and_a_backup_ask_for_what_they_show,
    a_flood_of_denials_causes_few_events_with_the_right_count,
    denials_of_more_actors_than_can_be_recorded_are_counted_and_none_is_lost,
}

/// How often a command of mallory was prepared: never.
static PREPARED: AtomicU64 = AtomicU64::new(0);

/// Pay in an amount that a service returns
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct DepositAsked {
    #[on(Account)]
    account: AccountId,
}

impl Handle for DepositAsked {
    async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), BankError> {
        if context.actor().id() == "mallory" {
            PREPARED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        Ok(vec![AccountEvent::Deposited { cents: 1 }])
    }
}

fn not_mallory(context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    if let Ask::Command { name, .. } = ask {
        assert!(!name.starts_with("annals_"), "an internal command is not authorised");
        assert_ne!(*name, "close_accounts", "an authoriser that panics");
    }
    match context.actor().id() {
        "mallory" => Err(Denial::because("mallory may nothing")),
        _ => Ok(()),
    }
}

/// Makes the log unreadable, around the store.
fn melt(place: &Place) {
    let edit = "UPDATE events SET event_type = 'account.melted'";
    if let Some(schema) = place.schema() {
        schema
            .sql(&format!("ALTER TABLE events DISABLE TRIGGER ALL; {edit}; ALTER TABLE events ENABLE TRIGGER ALL"));
        return;
    }
    let log = rusqlite::Connection::open(place.url().strip_prefix("sqlite://").unwrap()).unwrap();
    let triggers: Vec<String> = {
        let mut names = log.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").unwrap();
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for trigger in triggers {
        log.execute_batch(&format!("DROP TRIGGER \"{trigger}\"")).unwrap();
    }
    log.execute(edit, []).unwrap();
}

/// Mission A9: a denial comes before loading. The account's events cannot be read: an allowed actor gets that error, a denied
/// one does not. `prepare`, which may call a service, does not run for a denied actor.
async fn a_denial_comes_before_prepare_and_before_anything_is_loaded_and_is_recorded(place: &Place) {
    let url = place.url();
    let app = || app().command::<DepositAsked>();
    let annals = app().open(url).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    annals.close().await;
    melt(place);

    let annals = app().authorise(not_mallory).record_refusals().open(url).await.unwrap();
    let loaded = annals.execute(deposit("a", 1), &by("alice")).await.unwrap_err();
    assert!(matches!(loaded, ExecuteError::Load(_)), "{loaded}");
    let denied = annals.execute(deposit("a", 1), &by("mallory")).await.unwrap_err();
    assert!(matches!(&denied, ExecuteError::Denied { reason } if reason == "mallory may nothing"), "{denied}");
    let asked = DepositAsked { account: account("b") };
    annals.execute(asked.clone(), &by("alice")).await.unwrap();
    for context in [by("mallory"), by("mallory").command_id(uuid::Uuid::new_v4())] {
        let denied = annals.execute(asked.clone(), &context).await.unwrap_err();
        assert!(matches!(denied, ExecuteError::Denied { .. }), "{denied}");
    }
    assert_eq!(PREPARED.load(Ordering::Relaxed), 0, "`prepare` does not run for a denied actor");
    annals.close().await;
    let annals = app().open(url).await.unwrap();
    let mut recorded = annals.events(1, 10).await.unwrap().events;
    recorded.retain(|event| event.aggregate.kind() == "annals_trail");
    let reported: Vec<_> =
        recorded.iter().map(|event| (event.event_type.as_str(), event.payload.as_str())).collect();
    let payloads = [
        r#"{"what":"deposit on account:a","on":["account:a"],"reason":"mallory may nothing"}"#,
        r#"{"what":"deposit_asked on account:b","on":["account:b"],"reason":"mallory may nothing"}"#,
        r#"{"reason":"mallory may nothing","denials":1}"#,
    ];
    let types = ["annals_refusal.denied", "annals_refusal.denied", "annals_refusal.repeated"];
    assert_eq!(reported, types.into_iter().zip(payloads).collect::<Vec<_>>());
    annals.close().await;
}

/// Missions A9, D18: reads are denied like commands, and the denial is recorded.
async fn denied_reads_read_nothing_and_are_recorded(place: &Place) {
    let url = place.url();
    let annals = app().authorise(not_mallory).record_refusals().record_reads().open(url).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let mallory = annals.read_as(&by("mallory"));
    let denied = |error| matches!(error, ReaderError::Denied(_));
    assert!(denied(mallory.view::<Balance>(&account("a")).await.unwrap_err()));
    assert!(denied(mallory.views::<Balance>().page(1, None).await.unwrap_err()));
    assert!(denied(mallory.json_view("balance", Some("b")).await.unwrap_err()));
    assert!(denied(mallory.metric("bank").await.unwrap_err()));
    let error = mallory.audit().topic("bank").page().await.unwrap_err();
    assert!(matches!(error, AuditError::Denied { .. }), "{error}");
    let error = mallory.audit().follow().next().await.unwrap().unwrap_err();
    assert!(matches!(error, AuditError::Denied { .. }), "{error}");
    let broken = CloseAccounts { accounts: vec![account("a")] };
    let error = annals.execute(broken, &by("alice")).await.unwrap_err();
    assert!(matches!(&error, ExecuteError::Denied { reason } if reason == "the authoriser failed"), "{error}");
    let rows = after_closing(annals, url, "annals").await;
    let said = sentences(&rows);
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(said.contains(&"user:mallory was denied the audit log: topic bank: mallory may nothing"), "{said:?}");
    assert!(rows.iter().all(|row| row.event_type == "annals_refusal.denied"), "{said:?}");
}

/// Missions A9, X21: a list and a count of documents ask like a single document, and select what the listing says.
async fn lists_and_counts_of_documents_are_denied_recorded_and_selected(place: &Place) {
    let url = place.url();
    let annals = app().authorise(not_mallory).record_reads().open(url).await.unwrap();
    let mut last = None;
    for (name, cents) in [("a", 5), ("b", 50), ("c", 500)] {
        last = Some(annals.execute(deposit(name, cents), &by("alice")).await.unwrap());
    }
    let last = last.unwrap();
    let listing = || Listing::default().from("cents", 50);
    let mallory = || annals.read_as(&by("mallory")).views::<Balance>().listing(listing());
    let denied = [
        mallory().await.unwrap_err(),
        mallory().page(1, None).await.unwrap_err(),
        mallory().count().await.unwrap_err(),
        mallory().count_by("size").await.unwrap_err(),
    ];
    assert!(denied.iter().all(|error| matches!(error, ReaderError::Denied(_))), "{denied:?}");
    let read = |name: &str| annals.read_as(&by(name)).views::<Balance>().listing(listing()).after(last);
    let keys = |documents: Vec<(AccountId, Balance)>| -> Vec<String> {
        documents.into_iter().map(|(key, _)| key.text().into_owned()).collect()
    };
    assert_eq!(keys(read("list").await.unwrap().documents), ["b", "c"]);
    assert_eq!(keys(read("page").page(1, None).await.unwrap().documents), ["b"]);
    assert_eq!(read("count").count().await.unwrap().count, 2);
    let sizes = read("sizes").count_by("size").await.unwrap().values;
    let sizes: Vec<_> = sizes.iter().map(|one| (one.value.text().unwrap(), one.count)).collect();
    assert_eq!(sizes, [("large", 1), ("small", 1)]);
    let rows = after_closing(annals, url, "annals/read").await;
    let mut said = sentences(&rows);
    said.sort_unstable();
    assert_eq!(said, ["count", "list", "page", "sizes"].map(|who| format!("user:{who} read balance")));
}

/// Mission X41: a backup is an operation, and shows everything; the history of an aggregate is a query for it alone.
async fn the_log_and_a_backup_ask_for_what_they_show(place: &Place) {
    let each_alone = |access: &AccessContext<'_>, ask: &Ask<'_>| match (access.actor().id(), ask) {
        (_, Ask::Command { .. }) | ("reader", Ask::Audit { .. }) | ("operator", Ask::Operate { .. }) => Ok(()),
        ("clerk", Ask::Audit { targets: [target], .. }) if target.as_str() == "account:a" => Ok(()),
        _ => Err(Denial::because("not for you")),
    };
    let annals = app().authorise(each_alone).open(place.url()).await.unwrap();
    for name in ["a", "b"] {
        annals.execute(deposit(name, 1), &by("alice")).await.unwrap();
    }
    let [reader, operator, clerk] = ["reader", "operator", "clerk"].map(|who| annals.read_as(&by(who)));
    let is_denied = |error: ReaderError| assert!(matches!(error, ReaderError::Denied(_)), "{error}");
    let [a, b] = ["a", "b"].map(|name| Ref::new("account", name).unwrap());
    assert_eq!(reader.events(0, 10).await.unwrap().events.len(), 2);
    assert_eq!(reader.history(&b, 0, 10).await.unwrap().len(), 1);
    assert_eq!(clerk.history(&a, 0, 10).await.unwrap().len(), 1);
    is_denied(clerk.history(&b, 0, 10).await.unwrap_err());
    is_denied(clerk.events(0, 10).await.unwrap_err());
    is_denied(operator.events(0, 10).await.unwrap_err());
    let folder = tempfile::tempdir().unwrap();
    for one in [reader, operator, clerk] {
        is_denied(one.backup(folder.path().join("copy.db"), |_, _| {}).await.unwrap_err());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    annals.close().await;
}

/// The number of denials that these rows record.
fn denials(rows: &[AuditRow]) -> u64 {
    let of = |row: &AuditRow| {
        let payload: serde_json::Value = serde_json::from_str(row.payload.get()).unwrap();
        match row.event_type.as_str() {
            "annals_refusal.denied" => 1,
            "annals_refusal.repeated" => payload["denials"].as_u64().unwrap(),
            "annals_refusal.overflowed" => payload["refusals"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    };
    rows.iter().map(of).sum()
}

/// Mission X5: a denied actor does not fill the log: each denial is counted, and few are events of their own.
async fn a_flood_of_denials_causes_few_events_with_the_right_count(place: &Place) {
    const EACH: u64 = 500;
    let url = place.url();
    let annals = app().authorise(not_mallory).record_refusals().open(url).await.unwrap();
    let mallory = annals.read_as(&by("mallory"));
    let flood = async |from: u64| {
        for n in from..from + EACH {
            mallory.view::<Balance>(&account("a")).await.unwrap_err();
            mallory.view::<Balance>(&account(&n.to_string())).await.unwrap_err();
            annals.execute(deposit("a", 1), &by("mallory")).await.unwrap_err();
        }
    };
    flood(0).await;
    // The counts are recorded during the flood.
    let began = Instant::now();
    loop {
        let head = annals.store().head().await.unwrap();
        let page = annals.audit().topic("annals/refusal").after(head).page().await.unwrap();
        if denials(&page.rows) == 3 * EACH {
            assert!(page.rows.iter().all(|row| row.action == Action::Refuse));
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", sentences(&page.rows));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    flood(EACH).await;
    let rows = after_closing(annals, url, "annals/refusal").await;
    assert_eq!(denials(&rows), 6 * EACH);
    // Twice as many if the test falls into two windows.
    assert!(rows.len() < 50, "{} events", rows.len());
    let repeated = rows.iter().find(|row| row.event_type == "annals_refusal.repeated").unwrap();
    assert!(repeated.sentence.starts_with("user:mallory was denied more, "), "{}", repeated.sentence);
    assert!(repeated.sentence.ends_with(" times: mallory may nothing"), "{}", repeated.sentence);
}

/// Mission X5: no caller waits for a record. If the queue is full, denials are counted, and the count is recorded.
async fn denials_of_more_actors_than_can_be_recorded_are_counted_and_none_is_lost(place: &Place) {
    let url = place.url();
    let nobody = |_: &AccessContext<'_>, _: &Ask<'_>| Err(Denial::because("nobody may"));
    let annals = app().authorise(nobody).record_refusals().open(url).await.unwrap();
    let wait = Duration::from_secs(8);
    let lock = annals.store().write_lock(wait, wait).await.unwrap();
    for n in 0..4_000 {
        let context = by(&n.to_string());
        let denied = tokio::time::timeout(wait, annals.execute(deposit("a", 1), &context)).await.unwrap();
        assert!(matches!(denied, Err(ExecuteError::Denied { .. })));
    }
    drop(lock);
    let rows = after_closing(annals, url, "annals/refusal").await;
    let recorded = rows.iter().filter(|row| row.event_type == "annals_refusal.denied").count();
    assert!((1_024..4_000).contains(&recorded), "{recorded}");
    assert_eq!(denials(&rows), 4_000);
}
