//! The application of the fault tests of reactions, and the processes that write and react in it.
//!
//! Each job that is asked for leads to a command at once and to a reminder a moment later. What they do depends on its number.

use std::convert::Infallible;
use std::time::Duration;

use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals::reactions::{Reaction, Then};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::processes::{id, say};

/// How long after a job was asked for its reminder is due.
pub const SOON: Duration = Duration::from_millis(150);

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "job", on = Job)]
pub enum JobEvent {
    #[event(update, "{actor} asked for {n}")]
    Asked { n: u64 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Job {
    asked: u64,
}

impl Aggregate for Job {
    const TYPE: &'static str = "job";
    type Id = JobId;
    type Event = JobEvent;
    type Error = Infallible;
    fn apply(&mut self, _: &JobEvent) {
        self.asked += 1;
    }
}

/// Ask for a job
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ask {
    #[on(Job)]
    pub job: JobId,
    pub n: u64,
}

impl Handle for Ask {
    fn handle(&self, _: &Loaded<Job>, _: &Context) -> Result<Vec<JobEvent>, Infallible> {
        Ok(vec![JobEvent::Asked { n: self.n }])
    }
}

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "desk", on = Desk)]
pub enum DeskEvent {
    #[event(update, "{actor} worked at {desk}")]
    Worked { n: u64, asked: u64 },
    #[event(update, "{actor} was reminded at {desk}")]
    Reminded { n: u64 },
}

#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Desk {}

#[derive(Debug, thiserror::Error)]
#[error("nobody works on {0}")]
pub struct Nobody(u64);

impl Aggregate for Desk {
    const TYPE: &'static str = "desk";
    type Id = DeskId;
    type Event = DeskEvent;
    type Error = Nobody;
    fn apply(&mut self, _: &DeskEvent) {}
}

/// Work on a job
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Work {
    #[on(Desk)]
    pub desk: DeskId,
    pub n: u64,
    pub asked: u64,
}

/// What is to become of the work on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Worked,
    Refused,
    Nothing,
}

pub fn fate(n: u64) -> Fate {
    match n {
        n if n.is_multiple_of(11) => Fate::Refused,
        n if n.is_multiple_of(13) => Fate::Nothing,
        _ => Fate::Worked,
    }
}

impl Handle for Work {
    fn handle(&self, _: &Loaded<Desk>, _: &Context) -> Result<Vec<DeskEvent>, Nobody> {
        let Self { n, asked, .. } = *self;
        match fate(n) {
            Fate::Worked => Ok(vec![DeskEvent::Worked { n, asked }]),
            Fate::Refused => Err(Nobody(n)),
            Fate::Nothing => Ok(Vec::new()),
        }
    }
}

/// Remind somebody of a job
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Remind {
    #[on(Desk)]
    pub desk: DeskId,
    pub n: u64,
}

impl Handle for Remind {
    fn handle(&self, _: &Loaded<Desk>, _: &Context) -> Result<Vec<DeskEvent>, Nobody> {
        Ok(vec![DeskEvent::Reminded { n: self.n }])
    }
}

/// What is asked for is worked on, and somebody is reminded of it.
pub struct Working;

impl Reaction for Working {
    const NAME: &'static str = "working";
    type On = Job;
    fn react(event: &Recorded<JobEvent>, job: &Loaded<Job>) -> Then {
        let JobEvent::Asked { n } = event.event;
        let desk = DeskId::new((n % 7).to_string());
        Then::from(Work { desk: desk.clone(), n, asked: job.asked }).after(
            SOON,
            format!("remind {n} of {}", event.event_id),
            Remind { desk, n },
        )
    }
}

pub fn app() -> App {
    App::new("jobs").command::<Ask>().command::<Work>().command::<Remind>().reaction::<Working>()
}

/// Asks for jobs until it is killed. The process reacts meanwhile, as every process does that has the application open.
pub async fn ask(annals: &Annals, writer: u64, from: u64) {
    let context = move |n| Context::by(Ref::new("writer", &writer.to_string()).unwrap()).command_id(id(writer, n));
    let ask = move |n: u64| Envelope::new(Ask { job: JobId::new((n % 10).to_string()), n }, context(n));
    let commands = stream::iter((from..).map(ask)).then(|envelope| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        envelope
    });
    let mut answers = std::pin::pin!(annals.execute_all(Box::pin(commands), 8));
    let mut n = from;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(_) => say(format!("ack {n}")),
            // The database is restarted: the next process begins here.
            Err(ExecuteError::OutcomeUnknown { .. } | ExecuteError::Store(_) | ExecuteError::Load(_)) => {
                say(format!("lost {n}"));
                return std::future::pending().await;
            }
            Err(error) => panic!("{n}: {error}: {error:?}"),
        }
        n += 1;
    }
}
