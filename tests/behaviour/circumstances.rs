//! States that depend on who did something, and when: the same in memory and from the log.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use annals::aggregates::Circumstances;
use annals::commands::Envelope;
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank;

annals_test_postgres::both_stores! {
    a_decision_sees_the_circumstances_that_the_log_will_say,
    the_time_is_stored_only_if_the_state_depends_on_it,
    a_snapshot_holds_the_circumstances_of_the_log,
}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LampId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp", on = Lamp)]
enum LampEvent {
    #[event(update, "{actor} turned {lamp} to {percent}, after {seen}")]
    Turned { percent: u8, seen: String },
    #[event(update, "{actor} cleaned {lamp}")]
    Cleaned,
}

/// The last time that it was turned.
#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lamp {
    last: Option<Turn>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Turn {
    percent: u8,
    by: Ref,
    principal: Option<Ref>,
    command: Uuid,
    at: Timestamp,
}

impl Aggregate for Lamp {
    const TYPE: &'static str = "lamp";
    type Id = LampId;
    type Event = LampEvent;
    type Error = Infallible;

    fn apply(&mut self, _: &LampEvent) {
        unreachable!("the engine calls `apply_with`")
    }

    fn apply_with(&mut self, event: &LampEvent, circumstances: &Circumstances<'_>) {
        if let LampEvent::Turned { percent, .. } = event {
            self.last = Some(Turn {
                percent: *percent,
                by: circumstances.actor().clone(),
                principal: circumstances.principal().cloned(),
                command: circumstances.command_id(),
                at: circumstances.time(),
            });
        }
    }
}

/// Turn a lamp, and write down the state that it was decided on
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct TurnLamp {
    #[on(Lamp)]
    lamp: LampId,
    percent: u8,
}

impl Handle for TurnLamp {
    fn handle(&self, lamp: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, Infallible> {
        Ok(vec![LampEvent::Turned { percent: self.percent, seen: text(lamp) }])
    }
}

/// Clean a lamp
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Clean {
    #[on(Lamp)]
    lamp: LampId,
}

impl Handle for Clean {
    fn handle(&self, _: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, Infallible> {
        Ok(vec![LampEvent::Cleaned])
    }
}

fn text(lamp: &Lamp) -> String {
    serde_json::to_string(lamp).unwrap()
}

/// Its clock counts nanoseconds, of which the log stores microseconds.
fn app() -> App {
    let nanoseconds = Arc::new(AtomicI64::new(1_780_000_000_123_456_789));
    let clock = move || Timestamp::from_nanosecond(nanoseconds.fetch_add(1_001, Ordering::SeqCst).into()).unwrap();
    App::new("house").command::<TurnLamp>().command::<Clean>().clock(clock)
}

fn desk() -> LampId {
    LampId::new("desk")
}

/// Mission X32: each decision saw exactly the state that the log folds to before it, also on states that were still on their way to the log and
/// after conflicts with another process.
async fn a_decision_sees_the_circumstances_that_the_log_will_say(place: &Place) {
    let (one, other) = (app().open(place.url()).await.unwrap(), app().open(place.url()).await.unwrap());
    let commands = |who: &'static str| {
        stream::iter((0..60_u8).map(move |percent| {
            let context = match percent % 3 {
                0 => bank::by(who),
                1 => bank::by(who).on_behalf_of(Ref::new("user", "principal").unwrap()),
                _ => bank::by(who).occurred_at("1999-12-31T23:59:59.123456789Z".parse().unwrap()),
            };
            Envelope::new(TurnLamp { lamp: desk(), percent }, context.command_id(Uuid::new_v4()))
        }))
    };
    let run = async |annals: &Annals, who| {
        let results: Vec<_> = annals.execute_all(commands(who), 16).collect().await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    };
    tokio::join!(run(&one, "alice"), run(&other, "bob"));
    let events = one.events(0, 200).await.unwrap().events;
    assert_eq!(events.len(), 120);
    let mut state = Lamp::default();
    for stored in &events {
        let recorded = Recorded::<LampEvent>::from_stored(stored).unwrap();
        let LampEvent::Turned { percent, seen } = &recorded.event else { panic!("{recorded:?}") };
        assert_eq!(*seen, text(&state), "event {} was decided on another state", stored.position);
        state.last = Some(Turn {
            percent: *percent,
            by: recorded.metadata.actor.clone(),
            principal: recorded.metadata.on_behalf_of.clone(),
            command: recorded.command_id,
            at: recorded.occurred_at,
        });
    }
    for annals in [one, other] {
        assert_eq!(*annals.load::<Lamp>(&desk()).await.unwrap().state(), state);
        annals.close().await;
    }
}

async fn the_time_is_stored_only_if_the_state_depends_on_it(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    // The store's clock is ahead of the application's, as another machine's may be.
    let by = || bank::by("alice");
    annals.execute(TurnLamp { lamp: desk(), percent: 1 }, &by()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    annals.execute(Clean { lamp: desk() }, &by()).await.unwrap();
    let then: Timestamp = "2001-02-03T04:05:06Z".parse().unwrap();
    annals.execute(Clean { lamp: desk() }, &by().occurred_at(then)).await.unwrap();
    let events = annals.events(0, 10).await.unwrap().events;
    assert_eq!(events[0].occurred_at, annals.load::<Lamp>(&desk()).await.unwrap().last.clone().unwrap().at);
    assert_ne!(events[0].occurred_at, events[0].recorded_at, "the time of the decision is stored");
    assert_eq!(events[1].occurred_at, events[1].recorded_at, "`Cleaned` does not look at the time");
    assert_eq!(events[2].occurred_at, then);
    annals.close().await;
}

async fn a_snapshot_holds_the_circumstances_of_the_log(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    for percent in 0..150_u8 {
        for _ in 0..2 {
            let context = bank::by(&percent.to_string());
            annals.execute(TurnLamp { lamp: desk(), percent }, &context).await.unwrap();
        }
    }
    annals.close().await;
    let annals = app().open(place.url()).await.unwrap();
    let snapshot = annals.store().views().load_snapshot(&desk().reference()).await.unwrap().expect("a snapshot");
    assert!(snapshot.state.contains("user:127"), "{}", snapshot.state);
    let report = annals.check(|_, _| {}).await.unwrap();
    assert!(report.findings.is_empty(), "{report:?}");
    let last = annals.load::<Lamp>(&desk()).await.unwrap().last.clone().unwrap();
    assert_eq!((last.percent, last.by.as_str()), (149, "user:149"));
    annals.close().await;
}

#[test]
fn a_scenario_gives_events_with_and_without_circumstances() {
    let context = bank::by("alice").occurred_at(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(7));
    let event = || LampEvent::Turned { percent: 5, seen: String::new() };
    let turn = || TurnLamp { lamp: desk(), percent: 6 };
    let seen = |by: &str, at: &str| {
        let command = Uuid::nil();
        let last =
            Some(Turn { percent: 5, by: by.parse().unwrap(), principal: None, command, at: at.parse().unwrap() });
        vec![LampEvent::Turned { percent: 6, seen: text(&Lamp { last }) }]
    };
    annals::testing::nothing()
        .and_in::<Lamp>(&context, &desk(), [event()])
        .when(turn(), bank::by("bob"))
        .then(seen("user:alice", "1970-01-01T00:00:07Z"));
    annals::testing::given::<Lamp>(&desk(), [event()])
        .when(turn(), bank::by("bob"))
        .then(seen("system:unknown", "1970-01-01T00:00:00Z"));
}
