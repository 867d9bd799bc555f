//! Who, when and in which order: what the metadata of postgres-es say is kept.

use annals::prelude::*;
use annals::store::Takeover;
use annals_test_postgres::Fresh;
use sqlx::Executor;

use crate::stock::BankCommand::{Deposit, Open};
use crate::{app, events, expected, migrate, order, stock};

/// The order of the times, where the rows lie in another order that contradicts no sequence; within an aggregate always
/// the order of its sequences.
#[tokio::test]
async fn times_of_the_metadata_order_the_aggregates_and_sequences_the_events_of_each() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    for (id, command, time) in [
        ("late", Open, "2024-03-01T00:00:00Z"),
        ("late", Deposit(1), "2024-03-02T00:00:00+01:00"),
        ("early", Open, "2024-01-01T00:00:00Z"),
        // A clock that was set back: before the event before it, and before everything else.
        ("early", Deposit(2), "2023-12-31T00:00:00Z"),
        ("early", Deposit(3), "noon"),
        ("early", Deposit(4), "2024-03-01T12:00:00Z"),
    ] {
        stock::execute(&pool, id, command, &[("time", time)]).await;
    }
    stock::execute(&pool, "none", Open, &[]).await;
    let dry = migrate(&fresh, Takeover::new().time_from("time").dry_run()).await;
    let migrated = migrate(&fresh, Takeover::new().time_from("time")).await;
    assert_eq!(
        migrated.order,
        "within each aggregate by its sequences; between aggregates by the time in the metadata field `time`; assumed: 2 \
         without a time happened with the event before them in their aggregate; assumed: 1 with a time before that of an \
         earlier event of their aggregate happened after it"
    );
    assert_eq!((&dry.order, dry.events), (&migrated.order, 7), "the dry run says the same");
    assert_eq!((migrated.without_time.events, migrated.earlier_than_before), (2, 1));
    let first = migrated.without_time.first.as_deref().expect("the first");
    assert!(first.contains("event 3 of `BankAccount` `early`: `noon` is not a time"), "{first}");
    assert_eq!(
        order(&fresh).await,
        expected(&[("none", 1), ("early", 1), ("early", 2), ("early", 3), ("late", 1), ("early", 4), ("late", 2)])
    );
    let annals = app().open(fresh.url()).await.expect("a store");
    let events = events(&annals).await;
    assert_eq!(events[2].occurred_at.to_string(), "2023-12-31T00:00:00Z", "the time as it was given");
    assert_eq!(events[6].occurred_at.to_string(), "2024-03-01T23:00:00Z");
    assert_eq!(events[3].occurred_at, events[3].recorded_at, "without a time: that of the migration");
    annals.close().await;
}

/// The rows lie in an order that agrees with all sequences and is wrong: it is called an assumption.
#[tokio::test]
async fn the_order_of_the_rows_is_never_reported_as_known() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    for id in ["first", "second"] {
        stock::execute(&pool, id, Open, &[]).await;
    }
    pool.execute("UPDATE events SET metadata = '{}' WHERE aggregate_id = 'first'").await.expect("a moved row");
    let migrated = migrate(&fresh, Takeover::new()).await;
    assert_eq!(order(&fresh).await, expected(&[("second", 1), ("first", 1)]), "a wrong order");
    assert!(migrated.order.contains("which is an assumption: postgres-es stores no time"), "{}", migrated.order);
}

#[tokio::test]
async fn actors_and_times_of_the_metadata_are_mapped_the_rest_is_kept_and_what_is_missing_is_counted() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    let time = ("time", "2024-05-01T10:00:00.123456789Z");
    stock::execute(&pool, "a", Open, &[("who", "alice"), time, ("uri", "/a?b=\"c\"")]).await;
    stock::execute(&pool, "a", Deposit(1), &[("who", "user:bob"), time]).await;
    stock::execute(&pool, "a", Deposit(2), &[("who", ""), time]).await;
    stock::execute(&pool, "a", Deposit(3), &[("uri", "/x")]).await;
    let takeover = Takeover::new().actor_from("who").actor_kind("user").time_from("time");
    let migrated = migrate(&fresh, takeover).await;
    assert_eq!((migrated.without_actor.events, migrated.without_time.events), (2, 1));
    assert_eq!((migrated.metadata_fields["who"], migrated.metadata_fields["uri"]), (3, 2));
    let annals = app().open(fresh.url()).await.expect("a store");
    assert!(annals.check(|_, _| {}).await.expect("a report").is_sound());
    let events = events(&annals).await;
    let actors: Vec<String> =
        events.iter().map(|event| event.metadata().expect("metadata").actor.to_string()).collect();
    assert_eq!(actors, ["user:alice", "user:bob", "system:postgres-es", "system:postgres-es"]);
    let kept: serde_json::Value = serde_json::from_str(&events[0].metadata).expect("JSON");
    assert_eq!(kept["postgres_es"]["uri"], "/a?b=\"c\"");
    assert_eq!(kept["postgres_es"]["time"], time.1);
    assert_eq!(events[0].occurred_at.to_string(), "2024-05-01T10:00:00.123456Z");
    let page = annals.audit().actor("user:bob").page().await.expect("a page");
    assert_eq!(page.rows.len(), 1, "the audit log finds who it was");
    annals.close().await;
}

/// What no field says as it is, a function of the application may.
#[tokio::test]
async fn a_function_of_the_application_maps_actors_and_times() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    stock::execute(&pool, "a", Open, &[("badge", "7"), ("unix", "1714557600")]).await;
    stock::execute(&pool, "a", Deposit(1), &[("unix", "soon")]).await;
    let takeover = Takeover::new()
        .actor(|old| Ref::new("clerk", old.metadata_text("badge")?).ok())
        .time(|old| jiff::Timestamp::from_second(old.metadata_text("unix")?.parse().ok()?).ok());
    let migrated = migrate(&fresh, takeover).await;
    assert_eq!((migrated.without_actor.events, migrated.without_time.events), (1, 1));
    assert!(migrated.order.contains("the time that the application's function gives"), "{}", migrated.order);
    let annals = app().open(fresh.url()).await.expect("a store");
    let first = events(&annals).await.remove(0);
    assert_eq!(first.metadata().expect("metadata").actor.to_string(), "clerk:7");
    assert_eq!(first.occurred_at.to_string(), "2024-05-01T10:00:00Z");
    annals.close().await;
}

/// Kinds that cannot be references get a name, versions that are no numbers say what they were, and an id that begins with
/// its own kind is the id that it will be read as.
#[tokio::test]
async fn kinds_versions_and_ids_that_do_not_fit_are_declared_or_follow_the_rule_for_ids() {
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    for (id, version) in [("1", "0.1"), ("bank_account:9", "v1"), ("user:9", ""), ("4", "1.0.1"), ("5", "1.0.0")] {
        stock::insert(&pool, ("shop::Account", id, 1), ("giro.opened", version, r#"{"Opened":{}}"#)).await;
    }
    let takeover = ["0.1", "v1", "", "1.0.1"]
        .into_iter()
        .fold(Takeover::new(), |takeover, version| takeover.version("giro.opened", version, 1));
    let migrated = migrate(&fresh, takeover.kind("shop::Account", "bank_account")).await;
    assert_eq!((migrated.events, migrated.shortened_ids), (5, 1));
    assert_eq!(migrated.kinds["shop::Account"], "bank_account");
    let annals = app().open(fresh.url()).await.expect("a store");
    let events = events(&annals).await;
    let mut ids: Vec<&str> = events.iter().map(|event| event.aggregate.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "4", "5", "9", "user:9"]);
    assert!(events.iter().all(|event| event.event_version == "1.0"));
    // The text that the old program's callers have finds the account.
    let body = r#"{"account":"bank_account:9"}"#;
    let receipt = annals.execute_json("double", body, &crate::alice()).expect("a body").await.expect("a receipt");
    let last = annals.store().read_at(&[receipt.head.position]).await.expect("an event").remove(0);
    assert_eq!((last.aggregate.id(), last.sequence), ("9", 2), "on the account, not on a new one");
    let view = annals.json_view("balances").expect("a view").after(receipt.head);
    for text in ["9", "bank_account:9", "bank_account:user:9"] {
        assert!(view.get(text).await.expect("a view").is_some(), "{text}");
    }
    annals.close().await;
}
