//! A database of postgres-es: written by cqrs-es, taken over by `migrate`, then read and appended to.
#![cfg(feature = "postgres")]
#![allow(missing_docs, reason = "an application of a test")]

use std::sync::Arc;

use annals::prelude::*;
use annals::store::{OpenOptions, StoreError, kept_events, migrate};
use annals_test_postgres::Fresh;
use cqrs_es::persist::PersistedEventRepository;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};

/// The application on cqrs-es.
mod stock {
    use cqrs_es::event_sink::EventSink;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub enum BankEvent {
        AccountOpened,
        MoneyDeposited { cents: i64, note: String },
    }

    impl cqrs_es::DomainEvent for BankEvent {
        fn event_type(&self) -> String {
            match self {
                Self::AccountOpened => "AccountOpened".to_owned(),
                Self::MoneyDeposited { .. } => "MoneyDeposited".to_owned(),
            }
        }

        fn event_version(&self) -> String {
            "1.0".to_owned()
        }
    }

    pub enum BankCommand {
        Open,
        Deposit(i64),
    }

    #[derive(Default, Serialize, Deserialize)]
    pub struct Account;

    impl cqrs_es::Aggregate for Account {
        const TYPE: &'static str = "BankAccount";
        type Command = BankCommand;
        type Event = BankEvent;
        type Error = std::io::Error;
        type Services = ();

        async fn handle(
            &mut self,
            command: BankCommand,
            (): &(),
            sink: &EventSink<Self>,
        ) -> Result<(), std::io::Error> {
            match command {
                BankCommand::Open => sink.write(BankEvent::AccountOpened, self).await,
                BankCommand::Deposit(cents) => {
                    sink.write(BankEvent::MoneyDeposited { cents, note: "täglich \"x\"".to_owned() }, self).await;
                }
            }
            Ok(())
        }

        fn apply(&mut self, _: BankEvent) {}
    }
}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankAccountId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account", topic = "bank/account", on = BankAccount)]
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

fn app() -> App {
    App::new("bank").command::<Double>()
}

/// Creates a schema with the tables of postgres-es's documentation, and a pool for it.
async fn stock_database(fresh: &Fresh) -> PgPool {
    let (server, schema) = fresh.url().split_once("schema=").expect("a schema");
    let options: PgConnectOptions = server.trim_end_matches(['?', '&']).parse().expect("a URL");
    let pool = PgPoolOptions::new().connect_with(options.options([("search_path", schema)])).await.expect("a pool");
    let tables = format!(
        "CREATE SCHEMA {schema}; CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
         payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)); \
         CREATE TABLE snapshots (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         last_sequence bigint NOT NULL, current_snapshot bigint NOT NULL, payload json NOT NULL, \
         PRIMARY KEY (aggregate_type, aggregate_id, last_sequence))"
    );
    pool.execute(tables.as_str()).await.expect("tables");
    pool
}

/// Deposits to the accounts alternately, so that no aggregate's events are consecutive.
async fn write_with_cqrs_es(fresh: &Fresh) -> PgPool {
    let pool = stock_database(fresh).await;
    let cqrs = postgres_es::postgres_cqrs::<stock::Account>(pool.clone(), Vec::new(), ());
    for id in ["b", "a"] {
        cqrs.execute(id, stock::BankCommand::Open).await.expect("an account");
    }
    for cents in [1, 2, 3] {
        for id in ["b", "a"] {
            cqrs.execute(id, stock::BankCommand::Deposit(cents)).await.expect("a deposit");
        }
    }
    pool
}

fn options() -> OpenOptions {
    OpenOptions { app: "bank".to_owned(), clock: Arc::new(jiff::Timestamp::now), create: true }
}

/// A database written by postgres-es is migrated, read, appended to, and passes the check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_postgres_es_is_taken_over_read_and_appended_to() {
    let fresh = Fresh::schema();
    let pool = write_with_cqrs_es(&fresh).await;
    let refused = app().open(fresh.url()).await.map(|_| ()).expect_err("it is postgres-es's").to_string();
    assert!(refused.contains("run `migrate`"), "{refused}");

    let migrated = migrate(fresh.url(), options()).await.expect("a migration");
    assert_eq!((migrated.events, migrated.aggregates), (8, 2));
    assert!(migrated.order.starts_with("as they lay in the table"), "{}", migrated.order);
    assert_eq!(migrated.event_types["AccountOpened"], "bank_account.AccountOpened");

    let annals = app().open(fresh.url()).await.expect("a store");
    let events = annals.store().read(0, 100, &annals::store::Interest::All).await.expect("the log").events;
    let order: Vec<_> = events.iter().map(|event| (event.aggregate.id().to_owned(), event.sequence)).collect();
    let expected: Vec<_> = (1..=4).flat_map(|sequence| ["b", "a"].map(|id| (id.to_owned(), sequence))).collect();
    assert_eq!(order, expected, "in the order of writing");
    // As postgres-es has stored it: it binds jsonb, which normalises JSON.
    assert_eq!(
        events[2].payload, r#"{"note": "täglich \"x\"", "cents": 1}"#,
        "what is in the variant, byte for byte"
    );

    let double = Double { account: BankAccountId("a".to_owned()) };
    let alice = Context::by("user:alice".parse::<Ref>().expect("a reference"));
    let receipt = annals.execute(double, &alice).await.expect("a receipt");
    assert_eq!((receipt.first_position, receipt.events), (9, 1));
    let last = annals.store().read_at(&[9]).await.expect("an event").remove(0);
    assert_eq!((last.sequence, last.payload.as_str()), (5, r#"{"cents":6,"note":"doubled"}"#));
    let report = annals.check(|_, _| {}).await.expect("a report");
    assert!(report.is_sound(), "{report:#?}");
    annals.close().await;

    let again = migrate(fresh.url(), options()).await.expect_err("it is done").to_string();
    assert!(again.contains("nothing to migrate"), "{again}");
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
    let pool = write_with_cqrs_es(&fresh).await;
    pool.execute("UPDATE events SET metadata = '{\"moved\":\"yes\"}' WHERE sequence = 1")
        .await
        .expect("moved rows");
    let migrated = migrate(fresh.url(), options()).await.expect("a migration");
    assert!(migrated.order.starts_with("by aggregate type"), "{}", migrated.order);
    let annals = app().open(fresh.url()).await.expect("a store");
    let events = annals.store().read(0, 100, &annals::store::Interest::All).await.expect("the log").events;
    let order: Vec<_> = events.iter().map(|event| (event.aggregate.id(), event.sequence)).collect();
    let expected: Vec<_> =
        ["a", "b"].into_iter().flat_map(|id| (1..=4).map(move |sequence| (id, sequence))).collect();
    assert_eq!(order, expected);
    assert!(events[0].metadata.contains(r#""postgres_es":{"moved":"yes"}"#), "{}", events[0].metadata);
    assert!(annals.check(|_, _| {}).await.expect("a report").is_sound());
    annals.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_taken_over_is_named_and_not_changed() {
    for (spoil, words) in [
        (
            "UPDATE events SET payload = '{\"type\":\"opened\",\"by\":1}' WHERE sequence = 2",
            "event 2 of `BankAccount`",
        ),
        ("DELETE FROM events WHERE sequence = 2 AND aggregate_id = 'a'", "`BankAccount a` are not 1, 2, 3"),
        ("ALTER TABLE events ALTER COLUMN payload TYPE jsonb", "`payload` of its table `events` is jsonb"),
        ("DROP TABLE events", "no table `events`"),
    ] {
        let fresh = Fresh::schema();
        let pool = write_with_cqrs_es(&fresh).await;
        pool.execute(spoil).await.expect("a spoilt table");
        let tables = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
             WHERE relnamespace = current_schema()::regnamespace";
        let before: String = sqlx::query_scalar(tables).fetch_one(&pool).await.expect("names");
        match migrate(fresh.url(), options()).await {
            Err(StoreError::Unusable { reason, .. }) => assert!(reason.contains(words), "{spoil}: {reason}"),
            other => panic!("{spoil}: {other:?}"),
        }
        let after: String = sqlx::query_scalar(tables).fetch_one(&pool).await.expect("names");
        assert_eq!(before, after, "{spoil}: no table was created or renamed");
    }
}
