//! A database of postgres-es: written by cqrs-es, taken over by `migrate`, then read and appended to.
#![cfg(feature = "postgres")]
#![allow(missing_docs, reason = "an application of a test")]

mod import;
mod mapping;
mod old_tests;
mod refused;
mod rolling;
mod stock;
mod undo;

use annals::app::OpenError;
use annals::events::Stored;
use annals::prelude::*;
use annals::store::{Interest, Migrated, StoreError, Takeover, kept_events};
use annals_test_postgres::Fresh;
use cqrs_es::persist::PersistedEventRepository;
use serde::{Deserialize, Serialize};
use sqlx::Executor;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankAccountId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "giro", topic = "bank/account", on = BankAccount)]
pub enum AccountEvent {
    #[event(create, "{actor} opened {bank_account}", was("bank_account.AccountOpened"))]
    Opened,
    #[event(update, "{actor} paid {cents} in: {note}", was("bank_account.MoneyDeposited"))]
    Deposited { cents: i64, note: String },
}

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BankAccount {
    cents: i64,
}

impl Aggregate for BankAccount {
    const TYPE: &'static str = "bank_account";
    type Id = BankAccountId;
    type Event = AccountEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, event: &AccountEvent) {
        if let AccountEvent::Deposited { cents, .. } = event {
            self.cents += cents;
        }
    }
}

/// Pays in the present balance.
#[derive(Command, Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Double {
    #[on(BankAccount)]
    account: BankAccountId,
}

impl Handle for Double {
    fn handle(
        &self,
        account: &Loaded<BankAccount>,
        _: &Context,
    ) -> Result<Vec<AccountEvent>, std::convert::Infallible> {
        Ok(vec![AccountEvent::Deposited { cents: account.cents, note: "doubled".to_owned() }])
    }
}

/// How much an account has.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    cents: i64,
}

impl DocumentView for Balance {
    const NAME: &'static str = "balances";
    type Key = BankAccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Balance {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<BankAccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &BankAccountId, event: &Recorded<AccountEvent>) {
        let balance = document.get_or_insert_default();
        if let AccountEvent::Deposited { cents, .. } = event.event {
            balance.cents += cents;
        }
    }
}

pub fn app() -> App {
    App::new("bank").command::<Double>().view::<Balance>()
}

pub fn double(id: &str) -> Double {
    Double { account: BankAccountId(id.to_owned()) }
}

pub fn alice() -> Context {
    Context::by("user:alice".parse::<Ref>().expect("a reference"))
}

pub async fn migrate(fresh: &Fresh, takeover: Takeover) -> Migrated {
    app().takeover(takeover).migrate(fresh.url()).await.expect("a migration")
}

/// The reason why a migration was refused.
pub async fn refusal(fresh: &Fresh, takeover: Takeover) -> String {
    match app().takeover(takeover).migrate(fresh.url()).await {
        Err(OpenError::Store(StoreError::Unusable { reason, .. })) => reason,
        other => panic!("{other:?}"),
    }
}

pub async fn events(annals: &Annals) -> Vec<Stored> {
    annals.store().read(0, 1_000, &Interest::All).await.expect("the log").events
}

/// The ids and sequences in the order of the log, after a check of the log.
pub async fn order(fresh: &Fresh) -> Vec<(String, u64)> {
    let annals = app().open(fresh.url()).await.expect("a store");
    let report = annals.check(|_, _| {}).await.expect("a report");
    assert!(report.is_sound(), "{report:#?}");
    let order =
        events(&annals).await.iter().map(|event| (event.aggregate.id().to_owned(), event.sequence)).collect();
    annals.close().await;
    order
}

pub fn expected(order: &[(&str, u64)]) -> Vec<(String, u64)> {
    order.iter().map(|(id, sequence)| ((*id).to_owned(), *sequence)).collect()
}

/// Mission X30: a database written by postgres-es is migrated, read, appended to, and passes the check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_postgres_es_is_taken_over_read_and_appended_to() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let refused = app().open(fresh.url()).await.map(|_| ()).expect_err("it is postgres-es's").to_string();
    assert!(refused.contains("run `migrate`"), "{refused}");

    let migrated = migrate(&fresh, Takeover::new()).await;
    assert_eq!((migrated.events, migrated.aggregates, migrated.dry_run), (8, 2, false));
    assert!(migrated.order.contains("as the rows lie in the table, which is an assumption"), "{}", migrated.order);
    assert_eq!(migrated.event_types["AccountOpened"], "bank_account.AccountOpened");
    assert_eq!(migrated.kinds["BankAccount"], "bank_account");
    assert_eq!(migrated.without_actor.events, 8, "nothing says who it was, and that is counted");
    let first = migrated.without_actor.first.expect("the first one");
    assert!(first.starts_with("event 1 of `BankAccount` `a`: ") && first.contains("`actor`"), "{first}");

    let annals = app().open(fresh.url()).await.expect("a store");
    let events = events(&annals).await;
    let order: Vec<_> = events.iter().map(|event| (event.aggregate.id().to_owned(), event.sequence)).collect();
    let alternating: Vec<_> = (1..=4).flat_map(|sequence| ["b", "a"].map(|id| (id.to_owned(), sequence))).collect();
    assert_eq!(order, alternating, "in the order of writing");
    // As postgres-es has stored it: it binds jsonb, which normalises JSON.
    assert_eq!(
        events[2].payload, r#"{"note": "täglich \"x\"", "cents": 1}"#,
        "what is in the variant, byte for byte"
    );

    let receipt = annals.execute(double("a"), &alice()).await.expect("a receipt");
    assert_eq!((receipt.first_position, receipt.events), (9, 1));
    let last = annals.store().read_at(&[9]).await.expect("an event").remove(0);
    assert_eq!((last.sequence, last.payload.as_str()), (5, r#"{"cents":6,"note":"doubled"}"#));
    let report = annals.check(|_, _| {}).await.expect("a report");
    assert!(report.is_sound(), "{report:#?}");
    annals.close().await;

    assert!(refusal(&fresh, Takeover::new()).await.contains("nothing to migrate"));
    let kept = kept_events(pool).get_events::<stock::Account>("a").await.expect("rows");
    let log = events.iter().filter(|event| event.aggregate.id() == "a");
    for (old, new) in kept.iter().zip(log) {
        let content: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&new.payload).expect("JSON");
        let variant = old.payload.get(&old.event_type).and_then(|variant| variant.as_object());
        assert_eq!(variant.cloned().unwrap_or_default(), content, "postgres-es still reads its rows");
    }
    assert_eq!(kept.len(), 4);
}

/// The physical order of moved rows is no evidence of the order of writing: the sequences are.
#[tokio::test]
async fn where_row_order_contradicts_sequences_aggregates_are_taken_over_one_after_another() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let moved = "UPDATE events SET metadata = '{\"moved\":\"yes\"}' WHERE sequence = 1";
    pool.execute(moved).await.expect("moved rows");
    let migrated = migrate(&fresh, Takeover::new()).await;
    assert!(migrated.order.contains("the order between aggregates is not known"), "{}", migrated.order);
    assert_eq!(migrated.metadata_fields["moved"], 2);
    let by_aggregate: Vec<_> =
        ["a", "b"].into_iter().flat_map(|id| (1..=4).map(move |sequence| (id.to_owned(), sequence))).collect();
    assert_eq!(order(&fresh).await, by_aggregate);
    let annals = app().open(fresh.url()).await.expect("a store");
    let first = events(&annals).await.remove(0);
    assert_eq!(first.metadata, r#"{"actor":"system:postgres-es","postgres_es":{"moved":"yes"}}"#);
    annals.close().await;
}
