//! The bank of the guide's chapter "Coming over from cqrs-es": its old program, the migration, and the import program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals_test_postgres::{Fresh, Place};
use cqrs_es::event_sink::EventSink;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::stock;

/// The new program, as the guide has it.
pub mod bank {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/coming_over.rs"));
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/import.rs"));
}

/// The old events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum OldEvent {
    AccountOpened { account_id: String },
    CustomerDepositedMoney { amount: f64, balance: f64 },
    CustomerWroteCheck { check_number: String, amount: f64, balance: f64 },
}

impl cqrs_es::DomainEvent for OldEvent {
    fn event_type(&self) -> String {
        match self {
            Self::AccountOpened { .. } => "AccountOpened",
            Self::CustomerDepositedMoney { .. } => "CustomerDepositedMoney",
            Self::CustomerWroteCheck { .. } => "CustomerWroteCheck",
        }
        .to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

enum OldCommand {
    Open(String),
    Deposit(f64),
    Write(String, f64),
}

#[derive(Default, Serialize, Deserialize)]
struct OldAccount {
    balance: f64,
}

impl cqrs_es::Aggregate for OldAccount {
    const TYPE: &'static str = "account";
    type Command = OldCommand;
    type Event = OldEvent;
    type Error = std::io::Error;
    type Services = ();

    async fn handle(&mut self, command: OldCommand, (): &(), sink: &EventSink<Self>) -> Result<(), std::io::Error> {
        let event = match command {
            OldCommand::Open(account_id) => OldEvent::AccountOpened { account_id },
            OldCommand::Deposit(amount) => {
                OldEvent::CustomerDepositedMoney { amount, balance: self.balance + amount }
            }
            OldCommand::Write(check_number, amount) => {
                OldEvent::CustomerWroteCheck { check_number, amount, balance: self.balance - amount }
            }
        };
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: OldEvent) {
        match event {
            OldEvent::AccountOpened { .. } => {}
            OldEvent::CustomerDepositedMoney { balance, .. } | OldEvent::CustomerWroteCheck { balance, .. } => {
                self.balance = balance;
            }
        }
    }
}

async fn old(pool: &sqlx::PgPool, id: &str, command: OldCommand) {
    let cqrs = postgres_es::postgres_cqrs::<OldAccount>(pool.clone(), Vec::new(), ());
    let metadata = [("user", "ann".to_owned()), ("time", jiff::Timestamp::now().to_string())];
    let metadata = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    cqrs.execute_with_metadata(id, command, metadata).await.expect("a command of the old program");
}

/// Opens an account, then pays in and writes checks, until it is stopped.
async fn write(pool: sqlx::PgPool, id: String, stop: Arc<AtomicBool>) -> u64 {
    old(&pool, &id, OldCommand::Open(id.clone())).await;
    let mut events = 1;
    while !stop.load(Ordering::SeqCst) {
        old(&pool, &id, OldCommand::Deposit(2.5)).await;
        old(&pool, &id, OldCommand::Write(events.to_string(), 1.25)).await;
        events += 2;
    }
    events
}

/// What the migration and the import have to make of the old log.
async fn compare(annals: &annals::app::Annals, pool: &sqlx::PgPool) {
    let report = annals.check(|_, _| {}).await.expect("a report");
    assert!(report.is_sound(), "{report:#?}");
    let head = annals.store().head().await.expect("a head");
    let rows: Vec<(String, i64, f64)> = sqlx::query_as(
        "SELECT aggregate_id, max(sequence), (array_agg(coalesce((payload->event_type->>'balance')::float8, 0) \
         ORDER BY sequence DESC))[1] FROM events GROUP BY aggregate_id",
    )
    .fetch_all(pool)
    .await
    .expect("the old log");
    let mut events = 0;
    for (id, sequence, balance) in rows {
        let aggregate = annals::events::Ref::new("account", &id).expect("a reference");
        let history = annals.history(&aggregate, 0, 100_000).await.expect("a history");
        assert_eq!(history.len() as i64, sequence, "{id}: each event once");
        for stored in &history {
            assert_eq!(stored.metadata().expect("metadata").actor.to_string(), "user:ann");
            assert!(stored.occurred_at < stored.recorded_at, "it happened before it was taken over");
        }
        let key = id.parse().expect("an id");
        let view = annals.view::<bank::AccountView>(&key).after(head).await.expect("a view").expect("a document");
        assert_eq!(view.balance, balance, "{id}");
        events += history.len() as u64;
    }
    assert_eq!(events, head.position, "and no other event");
}

/// The way without a long stop: import while the old program writes, stop it, import the rest, start the new program.
async fn an_import_catches_up_with_a_program_that_writes(place: &Place) {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    let annals = bank::app().command::<bank::ImportEvent>().open(place.url()).await.expect("a store");
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|n| tokio::spawn(write(pool.clone(), format!("acct-{n}"), stop.clone()))).collect();
    let mut imported = 0;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        imported += bank::import(&annals, &pool).await.expect("an import while the old program writes");
    }
    assert!(imported > 0);
    stop.store(true, Ordering::SeqCst);
    let written: u64 = join_all(writers).await.into_iter().map(|written| written.expect("a writer")).sum();
    imported += bank::import(&annals, &pool).await.expect("the rest");
    assert_eq!(imported, written);
    assert_eq!(bank::import(&annals, &pool).await.expect("nothing is left"), 0);
    compare(&annals, &pool).await;
    // The switch: the new program decides on what was imported; what the old one wrote afterwards is refused, not mixed in.
    let deposit = bank::DepositMoney { account: "acct-0".parse().expect("an id"), amount: 1.0 };
    let teller: annals::events::Ref = "user:teller".parse().expect("a reference");
    annals.execute(deposit, &annals::commands::Context::by(teller)).await.expect("a receipt");
    old(&pool, "acct-0", OldCommand::Deposit(9.0)).await;
    let refused = bank::import(&annals, &pool).await.expect_err("the old program was not stopped").to_string();
    assert!(refused.contains("is not the next one to import"), "{refused}");
    annals.close().await;
}

annals_test_postgres::both_stores!(an_import_catches_up_with_a_program_that_writes);

/// The same log, taken over at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bank_of_the_guide_takes_over_the_log_of_its_old_program() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    for (id, command) in [
        ("a", OldCommand::Open("a".to_owned())),
        ("a", OldCommand::Deposit(1_000.0)),
        ("b", OldCommand::Open("b".to_owned())),
        ("a", OldCommand::Write("1170".to_owned(), 256.28)),
        ("b", OldCommand::Deposit(0.1)),
    ] {
        old(&pool, id, command).await;
    }
    let takeover = annals::store::Takeover::new().time_from("time").actor_from("user").actor_kind("user");
    let migrated = bank::app().takeover(takeover).migrate(fresh.url()).await.expect("a migration");
    assert_eq!((migrated.events, migrated.without_actor.events, migrated.without_time.events), (5, 0, 0));
    assert!(migrated.order.ends_with("by the time in the metadata field `time`"), "{}", migrated.order);
    let annals = bank::app().open(fresh.url()).await.expect("a store");
    let order: Vec<String> =
        crate::events(&annals).await.into_iter().map(|event| event.aggregate.id().to_owned()).collect();
    assert_eq!(order, ["a", "a", "b", "a", "b"], "as they happened");
    let view = annals
        .view::<bank::AccountView>(&"a".parse().expect("an id"))
        .after(annals.store().head().await.expect("a head"));
    let view = view.await.expect("a view").expect("a document");
    assert_eq!((view.balance, view.written_checks), (743.72, vec!["1170".to_owned()]));
    annals.close().await;
}
