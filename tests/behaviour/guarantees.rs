//! Guarantees that hold for any clock, restart or version of the program.

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals::testing::TestClock;
use annals_test_postgres::Place;
use futures::StreamExt;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::bank::*;

annals_test_postgres::both_stores!(
    event_ids_and_times_increase_for_any_clock,
    acknowledged_commands_are_in_the_log_after_a_restart,
    an_aggregate_with_many_events_is_loaded_from_a_snapshot_and_later_events,
    events_of_an_older_program_are_upcast_for_handlers_and_sentences,
);

/// Mission P8: restart, clock set back an hour, 5,000 ids in one millisecond.
async fn event_ids_and_times_increase_for_any_clock(place: &Place) {
    let url = place.url();
    let clock = TestClock::at("2026-01-01T12:00:00Z".parse().unwrap());
    for step in [SignedDuration::ZERO, SignedDuration::from_hours(-1), SignedDuration::from_hours(24 * 365)] {
        clock.advance(step);
        let annals = app().clock(clock.reader()).open(url).await.unwrap();
        let commands =
            (0..5_000).map(|n| annals::commands::Envelope::new(deposit(&(n % 50).to_string(), 1), by("alice")));
        let results = annals.execute_all(futures::stream::iter(commands), 512);
        assert!(results.all(|result| async move { result.is_ok() }).await);
        clock.advance(SignedDuration::from_hours(-1));
        annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
        annals.close().await;
    }
    let annals = app().open(url).await.unwrap();
    let log = log(&annals).await;
    assert_eq!(log.len(), 15_003);
    for pair in log.windows(2) {
        assert!(pair[0].event_id < pair[1].event_id, "{} and {}", pair[0].event_id, pair[1].event_id);
        assert!(pair[0].recorded_at <= pair[1].recorded_at);
        assert_eq!(pair[0].position + 1, pair[1].position);
        assert_eq!(pair[1].event_id.get_version_num(), 7);
    }
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    annals.close().await;
}

/// Mission X1: the log has every acknowledged command once, also after a restart.
async fn acknowledged_commands_are_in_the_log_after_a_restart(place: &Place) {
    let url = place.url();
    let first = app().open(url).await.unwrap();
    let receipt = first.execute(deposit("a", 5), &by("alice")).await.unwrap();
    first.close().await;
    let second = app().open(url).await.unwrap();
    assert_eq!(second.store().head().await.unwrap(), receipt.head);
    let again = second.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!(log(&second).await[1].sequence, 2);
    assert_eq!(again.head.position, 2);
    second.close().await;
}

/// Guarantee 16: an older backup is restored under a running program, and another program writes to it beyond the old head.
/// The running program gets one error, and then decides on the current log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restored_under_a_running_program_is_detected_and_its_caches_are_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("bank.db").display());
    let annals = app().open(&url).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let backup = directory.path().join("backup.db");
    annals.backup(&backup, |_, _| ()).await.unwrap();
    annals.execute(deposit("a", 1_000), &by("alice")).await.unwrap();

    let mut log = rusqlite::Connection::open(directory.path().join("bank.db")).unwrap();
    let older = rusqlite::Connection::open(&backup).unwrap();
    rusqlite::backup::Backup::new(&older, &mut log).unwrap().step(-1).unwrap();
    drop((log, older));
    let other = app().open(&url).await.unwrap();
    other.execute(deposit("a", 2), &by("bob")).await.unwrap();
    other.close().await;

    // The sequence would fit: the program believes that there are 1,001 events, and there are 3.
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 500 };
    let error = annals.execute(transfer.clone(), &by("alice")).await.unwrap_err();
    assert!(matches!(&error, ExecuteError::Store(source) if source.to_string().contains("backup")), "{error}");
    let error = annals.execute(transfer, &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
    annals.execute(deposit("a", 4), &by("alice")).await.unwrap();
    assert_eq!(log_of(&annals).await, [1, 2, 4]);
    annals.close().await;
}

async fn log_of(annals: &Annals) -> Vec<i64> {
    let cents = |event: &annals::events::Stored| match AccountEvent::from_stored(event).unwrap() {
        AccountEvent::Deposited { cents } => cents,
        other => panic!("{other:?}"),
    };
    log(annals).await.iter().map(cents).collect()
}

/// Snapshots are a cache: a state is the fold of its events, with and without them.
async fn an_aggregate_with_many_events_is_loaded_from_a_snapshot_and_later_events(place: &Place) {
    let url = place.url();
    let annals = app().open(url).await.unwrap();
    let commands = (0..600).map(|_| annals::commands::Envelope::new(deposit("a", 1), by("alice")));
    let results = annals.execute_all(futures::stream::iter(commands), 64);
    assert!(results.all(|result| async move { result.is_ok() }).await);
    annals.close().await;
    let overdraw = Transfer { from: account("a"), to: account("b"), cents: 601 };
    let exactly = Transfer { from: account("a"), to: account("b"), cents: 600 };
    let annals = app().open(url).await.unwrap();
    let snapshot = annals.store().views().load_snapshot(&Ref::new("account", "a").unwrap()).await.unwrap();
    assert!(snapshot.is_some_and(|snapshot| snapshot.sequence >= 256));
    let error = annals.execute(overdraw, &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
    annals.execute(exactly, &by("alice")).await.unwrap();
    annals.close().await;
}

/// The same event in an older program: another name and shape.
mod before {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "lamp", on = Lamp)]
    pub enum LampEvent {
        #[event(update, "{actor} lit {lamp}")]
        Lit { percent: u8 },
    }

    #[derive(Default, Clone, Serialize, Deserialize)]
    pub struct Lamp;

    #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct LampId(String);

    impl Aggregate for Lamp {
        const TYPE: &'static str = "lamp";
        type Id = LampId;
        type Event = LampEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, _: &LampEvent) {}
    }

    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct Light {
        #[on(Lamp)]
        pub lamp: LampId,
        pub percent: u8,
    }

    impl Handle for Light {
        fn handle(&self, _: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, std::convert::Infallible> {
            Ok(vec![LampEvent::Lit { percent: self.percent }])
        }
    }
}

mod after {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "lamp", on = Lamp)]
    pub enum LampEvent {
        #[event(update, "{actor} dimmed {lamp} to {level}", version = 2, was("lit"), from(1 = level_of_percent))]
        Dimmed { level: f64 },
    }

    fn level_of_percent(payload: serde_json::Value) -> Result<serde_json::Value, annals::BoxError> {
        let percent = payload["percent"].as_f64().ok_or("no percent")?;
        Ok(serde_json::json!({ "level": percent / 100.0 }))
    }

    #[derive(Default, Clone, Serialize, Deserialize)]
    pub struct Lamp {
        level: f64,
    }

    #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct LampId(String);

    impl Aggregate for Lamp {
        const TYPE: &'static str = "lamp";
        type Id = LampId;
        type Event = LampEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, event: &LampEvent) {
            let LampEvent::Dimmed { level } = event;
            self.level = *level;
        }
    }

    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    pub struct Brighten {
        #[on(Lamp)]
        pub lamp: LampId,
    }

    impl Handle for Brighten {
        fn handle(&self, lamp: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, std::convert::Infallible> {
            Ok(vec![LampEvent::Dimmed { level: lamp.level + 0.25 }])
        }
    }
}

/// Mission J11: events with former names and shapes are upcast before handlers and projections see them.
async fn events_of_an_older_program_are_upcast_for_handlers_and_sentences(place: &Place) {
    let url = place.url();
    let old = App::new("lamps").command::<before::Light>().open(url).await.unwrap();
    let lamp = before::LampId::new("desk");
    old.execute(before::Light { lamp, percent: 50 }, &by("alice")).await.unwrap();
    old.close().await;

    let new = App::new("lamps").command::<after::Brighten>().open(url).await.unwrap();
    let receipt = new.execute(after::Brighten { lamp: after::LampId::new("desk") }, &by("bob")).await.unwrap();
    let log = log(&new).await;
    assert_eq!((log[0].event_type.as_str(), log[0].payload.as_str()), ("lamp.lit", r#"{"percent":50}"#));
    assert_eq!(log[1].payload, r#"{"level":0.75}"#);
    let page = new.audit().after(receipt).page().await.unwrap();
    let sentences: Vec<_> = page.rows.iter().map(|row| row.sentence.as_str()).collect();
    assert_eq!(sentences, ["user:alice dimmed lamp:desk to 0.5", "user:bob dimmed lamp:desk to 0.75"]);
    assert!(new.check(|_, _| ()).await.unwrap().is_sound());
    new.close().await;
}
