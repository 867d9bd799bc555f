//! Reads and refusals are recorded as events of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use annals::app::{AccessContext, Ask, Denial};
use annals::commands::{Envelope, ExecuteError};
use annals::events::Action;
use annals::prelude::*;
use annals::projections::audit::{AuditError, AuditRow};
use annals_test_postgres::Place;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use uuid::Uuid;

use crate::bank::*;

annals_test_postgres::both_stores! {
    a_read_as_an_actor_is_one_record_for_each_query,
    equal_reads_in_two_processes_are_one_record_and_a_later_one_is_another,
    a_follower_of_the_audit_log_sees_its_own_read_without_a_loop,
    reads_and_refusals_are_recorded_only_if_the_application_wants_it,
    refused_commands_are_in_the_audit_log_with_the_reason,
    refusals_are_found_by_the_filters_of_the_audit_log,
    a_follower_whose_permission_is_revoked_gets_no_further_rows,
}

/// All rows of a topic, after all queued records are appended: the application is closed and opened again.
pub async fn after_closing(annals: Annals, url: &str, topic: &str) -> Vec<AuditRow> {
    annals.close().await;
    let annals = app().open(url).await.expect("it opens again");
    let head = annals.store().head().await.unwrap();
    let rows = annals.audit().topic(topic).after(head).stream().try_collect().await.unwrap();
    annals.close().await;
    rows
}

pub fn sentences(rows: &[AuditRow]) -> Vec<&str> {
    rows.iter().map(|row| row.sentence.as_str()).collect()
}

/// Missions A1, D6, X10: one record for a query, for any number of pages.
async fn a_read_as_an_actor_is_one_record_for_each_query(place: &Place) {
    let url = place.url();
    let annals = app().record_reads().open(url).await.unwrap();
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let bob = annals.read_as(&by("bob").correlation("request-1"));
    for _ in 0..3 {
        let balance = bob.view::<Balance>(&account("a")).after(receipt).await.unwrap().unwrap();
        assert_eq!(balance.cents, 5);
        assert_eq!(bob.views::<Balance>().page(10, None).await.unwrap().documents.len(), 1);
        assert_eq!(bob.metric("bank").await.unwrap().after(receipt).await.unwrap().total, 1);
    }
    let query = || bob.audit().actor("user:alice").target("account:a").limit(1);
    let page = query().after(receipt).page().await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(query().count().await.unwrap().events, 1);
    annals.read_as(&by("carol")).view::<Balance>(&account("a")).await.unwrap();

    // A read without an actor is not recorded.
    annals.view::<Balance>(&account("a")).await.unwrap();
    annals.audit().page().await.unwrap();

    let rows = after_closing(annals, url, "annals/read").await;
    let mut said = sentences(&rows);
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "user:bob read account:a in balance",
            "user:bob read balance",
            "user:bob read the audit log: target account:a, actor user:alice",
            "user:bob read the metrics of `bank`",
            "user:carol read account:a in balance",
        ]
    );
    let document = rows.iter().find(|row| row.sentence == "user:bob read account:a in balance").unwrap();
    assert_eq!((document.action, document.correlation.as_deref()), (Action::View, Some("request-1")));
    let targets: Vec<&str> = document.targets.iter().skip(1).map(Ref::as_str).collect();
    assert_eq!(targets, ["projection:balance", "account:a"]);
}

/// Mission X10: over restarts and processes too. After ten minutes it is another record.
async fn equal_reads_in_two_processes_are_one_record_and_a_later_one_is_another(place: &Place) {
    let url = place.url();
    let micros = Arc::new(AtomicI64::new("2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap().as_microsecond()));
    let open = || {
        let micros = micros.clone();
        let clock = move || Timestamp::from_microsecond(micros.load(Ordering::Relaxed)).unwrap();
        app().clock(clock).record_reads().open(url)
    };
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    for annals in [&one, &two] {
        annals.read_as(&by("bob")).view::<Balance>(&account("a")).await.unwrap();
    }
    one.close().await;
    micros.fetch_add(10 * 60 * 1_000_000, Ordering::Relaxed);
    two.read_as(&by("bob")).view::<Balance>(&account("a")).await.unwrap();
    let rows = after_closing(two, url, "annals/read").await;
    let times: Vec<String> = rows.iter().map(|row| row.recorded_at.to_string()).collect();
    assert_eq!(times, ["2026-01-01T00:03:00Z", "2026-01-01T00:13:00Z"]);
}

/// Mission D24: reading the audit log adds a record, and reading that record adds none.
async fn a_follower_of_the_audit_log_sees_its_own_read_without_a_loop(place: &Place) {
    let url = place.url();
    let micros = Arc::new(AtomicI64::new("2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap().as_microsecond()));
    let clock = {
        let micros = micros.clone();
        move || Timestamp::from_microsecond(micros.load(Ordering::Relaxed)).unwrap()
    };
    let annals = app().clock(clock).record_reads().open(url).await.unwrap();
    let mut stream = annals.read_as(&by("bob")).audit().follow();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first.sentence, "user:bob read the audit log");
    let quiet = tokio::time::timeout(Duration::from_millis(400), stream.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");

    // In a later window the read is recorded again, once.
    micros.fetch_add(10 * 60 * 1_000_000, Ordering::Relaxed);
    for cents in 1..=20 {
        annals.execute(deposit("a", cents), &by("alice")).await.unwrap();
    }
    let mut reads = 0;
    for _ in 0..21 {
        reads += u64::from(stream.next().await.unwrap().unwrap().event_type == "annals_read.viewed");
    }
    assert_eq!(reads, 1);

    // A page with only another actor's read is not recorded: two followers would never end.
    micros.fetch_add(10 * 60 * 1_000_000, Ordering::Relaxed);
    annals.read_as(&by("carol")).view::<Balance>(&account("a")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().sentence, "user:carol read account:a in balance");
    let quiet = tokio::time::timeout(Duration::from_millis(400), stream.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    drop(stream);
    assert_eq!(after_closing(annals, url, "annals/read").await.len(), 3);
}

async fn reads_and_refusals_are_recorded_only_if_the_application_wants_it(place: &Place) {
    let annals = open(place).await;
    annals.execute(Transfer { from: account("a"), to: account("b"), cents: 1 }, &by("alice")).await.unwrap_err();
    let alice = annals.read_as(&by("alice"));
    alice.audit().page().await.unwrap();
    alice.view::<Balance>(&account("a")).await.unwrap();
    assert_eq!(annals.audit().topic("annals").page().await.unwrap().rows.len(), 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(annals.store().head().await.unwrap().position, 0);
    annals.close().await;
}

/// Mission X5: the actor, the command and the reason, for each way to execute a command.
async fn refused_commands_are_in_the_audit_log_with_the_reason(place: &Place) {
    let url = place.url();
    let annals = app().record_refusals().open(url).await.unwrap();
    let transfer = || Transfer { from: account("a"), to: account("b"), cents: 7 };
    let id = Uuid::now_v7();
    for _ in 0..3 {
        // A retry with the same id is the same refusal.
        let error = annals.execute(transfer(), &by("mallory").command_id(id)).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
    }
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let body = r#"{"from": "a", "to": "b", "cents": 2}"#;
    annals.execute_json("transfer", body, &by("bob")).unwrap().await.unwrap_err();
    let many = (0..3).map(|_| Envelope::new(transfer(), by("carol")));
    let answers: Vec<_> = annals.execute_all(futures::stream::iter(many), 8).collect().await;
    assert!(answers.iter().all(Result::is_err));
    let rows = after_closing(annals, url, "annals/refusal").await;
    let mut said = sentences(&rows);
    said.sort_unstable();
    let refused =
        |who: &str| format!("user:{who} was refused transfer on account:a, account:b: account:a holds too little");
    let expected = ["bob", "carol", "carol", "carol", "mallory"].map(refused);
    assert_eq!(said, expected);
    assert!(rows.iter().all(|row| row.action == Action::Refuse && row.targets.len() == 3), "{rows:?}");
}

/// Mission X5: refusals are found by action, actor and target.
async fn refusals_are_found_by_the_filters_of_the_audit_log(place: &Place) {
    let annals = app().record_refusals().open(place.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    for who in ["mallory", "bob"] {
        let transfer = Transfer { from: account("a"), to: account("b"), cents: 7 };
        annals.execute(transfer, &by(who)).await.unwrap_err();
    }
    let rows: Vec<AuditRow> = annals.audit().refused().limit(2).follow().try_collect().await.unwrap();
    assert_eq!(rows.len(), 2);
    let by_mallory = annals.audit().refused().actor("user:mallory").target("account:a").text("TOO LITTLE").page();
    assert_eq!(by_mallory.await.unwrap().rows.len(), 1);
    let count = annals.audit().target("account:a").count().await.unwrap();
    let actions: Vec<_> = count.actions.iter().map(|facet| (facet.value, facet.events)).collect();
    assert_eq!(actions, [(Action::Refuse, 2), (Action::Update, 1)]);
    let head = annals.store().head().await.unwrap();
    let refusals = annals.metric("annals/refusal").after(head).await.unwrap();
    assert_eq!(refusals.by_action[&Action::Refuse], 2);
    annals.close().await;
}

/// A revoked permission ends a stream that is followed.
async fn a_follower_whose_permission_is_revoked_gets_no_further_rows(place: &Place) {
    let may = Arc::new(AtomicBool::new(true));
    let asked = may.clone();
    let authoriser = move |_: &AccessContext<'_>, ask: &Ask<'_>| match ask {
        Ask::Audit { .. } if !asked.load(Ordering::Relaxed) => Err(Denial::because("not any more")),
        _ => Ok(()),
    };
    let annals = app().authorise(authoriser).open(place.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let mut stream = annals.read_as(&by("bob")).audit().follow();
    assert_eq!(stream.next().await.unwrap().unwrap().position, 1);
    may.store(false, Ordering::Relaxed);
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, AuditError::Denied { .. }), "{error}");
    assert!(stream.next().await.is_none());
    annals.close().await;
}

/// The names of the crate's own aggregate are reserved.
#[test]
fn an_aggregate_with_the_reserved_type_is_refused() {
    #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[id(kind = "annals_trail")]
    struct MineId(String);

    #[derive(Event, Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[event(name = "mine", on = Mine)]
    enum MineEvent {
        #[event(update, "{actor} did")]
        Done,
    }

    #[derive(Default, Clone, serde::Serialize, serde::Deserialize)]
    struct Mine;

    impl Aggregate for Mine {
        const TYPE: &'static str = "annals_trail";
        type Id = MineId;
        type Event = MineEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, _: &MineEvent) {}
    }

    /// Do it
    #[derive(Command, Clone, Debug, serde::Serialize, serde::Deserialize, JsonSchema)]
    struct DoIt {
        #[on(Mine)]
        mine: MineId,
    }

    impl Handle for DoIt {
        fn handle(&self, _: &Loaded<Mine>, _: &Context) -> Result<Vec<MineEvent>, std::convert::Infallible> {
            Ok(vec![MineEvent::Done])
        }
    }

    let unsound = App::new("x").command::<DoIt>().check().unwrap_err();
    assert!(unsound.to_string().contains("is reserved for annals"), "{unsound}");
}
