//! The application of the tests: notes on desks, in two topics.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use annals::feeds::{Feed, FeedStatus, Sink};
use annals::prelude::*;
use annals::projections::export::Format;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "desk", on = Desk)]
pub enum DeskEvent {
    #[event(create, topic = "paper/note", "{actor} noted {text}")]
    Noted { text: String },
    #[event(update, topic = "paper/stamp", "{actor} stamped {desk} {count} times")]
    Stamped { count: u32 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Desk;

impl Aggregate for Desk {
    const TYPE: &'static str = "desk";
    type Id = DeskId;
    type Event = DeskEvent;
    type Error = Infallible;
    fn apply(&mut self, _: &DeskEvent) {}
}

/// Note something
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    #[on(Desk)]
    pub desk: DeskId,
    pub text: String,
}

impl Handle for Note {
    fn handle(&self, _: &Loaded<Desk>, _: &Context) -> Result<Vec<DeskEvent>, Infallible> {
        Ok(vec![DeskEvent::Noted { text: self.text.clone() }])
    }
}

/// Stamp something
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    #[on(Desk)]
    pub desk: DeskId,
    pub count: u32,
}

impl Handle for Stamp {
    fn handle(&self, _: &Loaded<Desk>, _: &Context) -> Result<Vec<DeskEvent>, Infallible> {
        Ok(vec![DeskEvent::Stamped { count: self.count }])
    }
}

/// The application without feeds.
pub fn desk() -> App {
    App::new("desk").command::<Note>().command::<Stamp>()
}

/// The application with a feed of the whole log from its beginning.
pub fn feeding(sink: impl Sink) -> App {
    desk().feed(Feed::new("all").since(annals::feeds::Since::Beginning).to(sink))
}

pub fn by(user: &str) -> Context {
    Context::by(Ref::new("user", user).unwrap()).correlation("a request")
}

/// Writes events: every third one is a stamp.
pub async fn write(annals: &Annals, count: u32) {
    for n in 0..count {
        let desk = DeskId::new((n % 5).to_string());
        match n % 3 {
            0 => annals.execute(Stamp { desk, count: n }, &by("bob")).await.unwrap(),
            _ => annals
                .execute(Note { desk, text: format!("note {n} with “quotes” \u{1b}[1m") }, &by("ann"))
                .await
                .unwrap(),
        };
    }
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

/// The status of the first feed.
pub async fn status(annals: &Annals) -> FeedStatus {
    annals.feeds().await.unwrap().remove(0)
}

/// The head of the log.
pub async fn head(annals: &Annals) -> u64 {
    annals.store().head().await.unwrap().position
}

/// Waits until the first feed has confirmed the whole log.
pub async fn has_sent_all(annals: &Annals) {
    let head = head(annals).await;
    until(async || status(annals).await.position >= head).await;
}

/// Waits until the first feed says this about its problem.
pub async fn says(annals: &Annals, what: &str) -> FeedStatus {
    let found = async || {
        let status = status(annals).await;
        status.problem.as_ref().is_some_and(|problem| problem.reason.contains(what)).then_some(status)
    };
    let waiting = async {
        loop {
            if let Some(status) = found().await {
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

/// The events of an export, one a line, without the statement at the end.
pub async fn exported(annals: &Annals) -> Vec<String> {
    let mut file = Vec::new();
    let audit = annals.audit().after(annals.store().head().await.unwrap());
    audit.export(Format::CloudEvents).source("/desk").to(&mut file).await.unwrap();
    lines(&String::from_utf8(file).unwrap())
}

/// The events of a batch of CloudEvents.
pub fn lines(batch: &str) -> Vec<String> {
    let events = batch.lines().filter(|line| line.starts_with('{') && !line.contains("\"type\":\"annals.export\""));
    events.map(|line| line.trim_end_matches(',').to_owned()).collect()
}
