//! The application of the tests: numbers that are added up, in tallies.

use std::future::Future;
use std::time::Duration;

use annals::commands::Envelope;
use annals::events::Stored;
use annals::intakes::{CloudEvent, Intake, IntakeStatus};
use annals::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TallyId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "tally", on = Tally)]
pub enum TallyEvent {
    #[event(update, "{actor} added {number} to {tally}")]
    Added { number: i64 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Tally {
    sum: i64,
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Id = TallyId;
    type Event = TallyEvent;
    type Error = BelowZero;
    fn apply(&mut self, TallyEvent::Added { number }: &TallyEvent) {
        self.sum += number;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a tally is never below zero")]
pub struct BelowZero;

/// Add a number
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Add {
    #[on(Tally)]
    pub tally: TallyId,
    pub number: i64,
}

impl Handle for Add {
    fn handle(&self, tally: &Loaded<Tally>, _: &Context) -> Result<Vec<TallyEvent>, BelowZero> {
        assert_ne!(self.number, 13, "unlucky");
        match self.number {
            0 => Ok(Vec::new()),
            number if tally.sum + number < 0 => Err(BelowZero),
            number => Ok(vec![TallyEvent::Added { number }]),
        }
    }
}

/// The application without intakes.
pub fn tally() -> App {
    App::new("tally").command::<Add>()
}

/// Adds what a message says.
pub fn added(event: &CloudEvent) -> Result<Envelope, BoxError> {
    match event.event_type() {
        "added" => {
            let actor = Ref::new("user", event.extension("user").unwrap_or("ann"))?;
            let tally = TallyId::new(event.subject().ok_or("it has no subject")?);
            Ok(event.command(Add { tally, number: event.data()? }, actor))
        }
        "panic" => panic!("the function is wrong"),
        other => Err(format!("nobody knows the type `{other}`").into()),
    }
}

/// An intake of additions.
pub fn additions() -> Intake {
    additions_named("additions")
}

/// The same intake under another name.
pub fn additions_named(name: &str) -> Intake {
    Intake::new(name, added)
}

/// A message.
pub fn message(id: &str, subject: &str, number: i64) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "added", "subject": subject, "data": number})
}

/// Waits until something is true.
pub async fn until<F: Future<Output = bool>>(is: impl Fn() -> F) {
    let waiting = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), waiting).await.expect("it becomes true");
}

/// The status of the first intake.
pub async fn status(annals: &Annals) -> IntakeStatus {
    annals.intakes().await.unwrap().remove(0)
}

/// Waits until this process has received so many messages, and settled all that there are.
pub async fn has_settled(annals: &Annals, received: u64) {
    let waiting = until(async || {
        let status = status(annals).await;
        status.received >= received && status.in_hand == 0 && status.backlog == Some(0)
    });
    waiting.await;
}

/// Waits until the first intake says this about its problem.
pub async fn says(annals: &Annals, what: &str) -> IntakeStatus {
    let said = async |status: &IntakeStatus| status.problem.as_ref().is_some_and(|one| one.reason.contains(what));
    let waiting = async {
        loop {
            let status = status(annals).await;
            if said(&status).await {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(60), waiting).await {
        Ok(status) => status,
        Err(_) => panic!("`{what}` is not said: {:?}", status(annals).await),
    }
}

/// All events of a type.
pub async fn events(annals: &Annals, event_type: &str) -> Vec<Stored> {
    let all = annals.events(0, 100_000).await.unwrap().events;
    all.into_iter().filter(|event| event.event_type == event_type).collect()
}

/// The numbers that were added to a tally, in order.
pub async fn numbers(annals: &Annals, tally: &str) -> Vec<i64> {
    let numbers = events(annals, "tally.added").await.into_iter().filter(|event| event.aggregate.id() == tally);
    numbers
        .map(|event| serde_json::from_str::<Value>(&event.payload).unwrap()["number"].as_i64().unwrap())
        .collect()
}

/// The reasons of the dead letters, in order.
pub async fn reasons(annals: &Annals) -> Vec<String> {
    let letters = events(annals, "annals_intake.dead_lettered").await;
    let reason = |event: Stored| serde_json::from_str::<Value>(&event.payload).unwrap()["reason"].to_string();
    letters.into_iter().map(reason).collect()
}

pub fn by(user: &str) -> Context {
    Context::by(Ref::new("user", user).unwrap())
}
