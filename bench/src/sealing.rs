//! Measures personal values: what sealing costs writers.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::commands::ExecuteError;
use annals::personal::Keys;
use annals::prelude::*;
use annals_bench_driver::BoxError;
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::reactions::url;
use crate::session::Session;
use crate::table::median;

const CALLERS: u64 = 64;

/// How many people there are: each has a key.
const PEOPLE: u64 = 1_000;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "person", on = Person)]
pub enum PersonEvent {
    #[event(update, "{actor} named {person} {name}")]
    Named { name: String },
    #[event(update, "{actor} named {person} {name}")]
    NamedInPrivate {
        #[event(personal)]
        name: Personal<String>,
    },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Person {
    names: u64,
}

impl Aggregate for Person {
    const TYPE: &'static str = "person";
    type Id = PersonId;
    type Event = PersonEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, _: &PersonEvent) {
        self.names += 1;
    }
}

/// Name a person
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NamePerson {
    #[on(Person)]
    pub person: PersonId,
    pub name: String,
}

impl Handle for NamePerson {
    fn handle(&self, _: &Loaded<Person>, _: &Context) -> Result<Vec<PersonEvent>, std::convert::Infallible> {
        Ok(vec![PersonEvent::Named { name: self.name.clone() }])
    }
}

/// Name a person, in private
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct NameInPrivate {
    #[on(Person)]
    pub person: PersonId,
    #[personal]
    pub name: String,
}

impl Handle for NameInPrivate {
    fn handle(&self, _: &Loaded<Person>, _: &Context) -> Result<Vec<PersonEvent>, std::convert::Infallible> {
        Ok(vec![PersonEvent::NamedInPrivate { name: Personal::new(self.name.clone()) }])
    }
}

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let seconds = Duration::from_secs(arguments.seconds);
    let mut text = format!(
        "\n## Sealing\n\n{CALLERS} callers on {PEOPLE} aggregates for {} s, with the audit log and the metrics following; one text of 12 \
         bytes in each command; keys in a file; medians of {} runs, alternating. First keys: one command for each aggregate, which \
         creates its key.\n\n\
         | store | commands/s readable | commands/s sealed | ratio | commands/s with first keys | bytes of a readable payload | sealed |\n\
         |--|--:|--:|--:|--:|--:|--:|\n",
        seconds.as_secs(),
        arguments.runs
    );
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        let measured = async {
            let (mut readable, mut sealed, mut first) = (Vec::new(), Vec::new(), Vec::new());
            let mut bytes = (0, 0);
            for _ in 0..arguments.runs {
                for is_sealed in [false, true] {
                    // A fresh store is removed with its handle.
                    let fresh = session.fresh(database).await?;
                    let keys = tempfile::tempdir()?;
                    let file = format!("sqlite://{}/bench.keys.db", keys.path().display());
                    let app = App::new("bench").command::<NamePerson>().command::<NameInPrivate>();
                    let annals = app.keys(Keys::at(file)).open(&url(&fresh, database)).await?;
                    let began = Instant::now();
                    for_each_person(&annals, is_sealed).await?;
                    if is_sealed {
                        first.push(PEOPLE as f64 / began.elapsed().as_secs_f64());
                    }
                    let began = Instant::now();
                    let written = write(&annals, seconds, is_sealed).await?;
                    let rate = written as f64 / began.elapsed().as_secs_f64();
                    let payload = annals.events(0, 1).await?.events.first().map_or(0, |event| event.payload.len());
                    match is_sealed {
                        true => (sealed.push(rate), bytes.1 = payload),
                        false => (readable.push(rate), bytes.0 = payload),
                    };
                    annals.close().await;
                }
            }
            let [readable, sealed, first] =
                [readable, sealed, first].map(|rates| median(rates).unwrap_or_default());
            let ratio = sealed / readable;
            let (plain, envelope) = bytes;
            Ok::<_, BoxError>(format!(
                "{name} | {readable:.0} | {sealed:.0} | {ratio:.2} | {first:.0} | {plain} | {envelope}"
            ))
        };
        match measured.await {
            Ok(cells) => writeln!(text, "| {cells} |")?,
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text)
}

async fn name(annals: &Annals, person: u64, is_sealed: bool) -> Result<(), ExecuteError<std::convert::Infallible>> {
    let by = Context::by(Ref::new("user", "bench").expect("a reference"));
    let (person, name) = (PersonId::new(person.to_string()), "Ada Lovelace".to_owned());
    match is_sealed {
        true => annals.execute(NameInPrivate { person, name }, &by).await?,
        false => annals.execute(NamePerson { person, name }, &by).await?,
    };
    Ok(())
}

/// One command for each person, with all callers.
async fn for_each_person(annals: &Annals, is_sealed: bool) -> Result<(), BoxError> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let annals = annals.clone();
            tokio::spawn(async move {
                for person in (caller..PEOPLE).step_by(CALLERS as usize) {
                    name(&annals, person, is_sealed).await?;
                }
                Ok::<_, ExecuteError<std::convert::Infallible>>(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    Ok(())
}

/// Writes for this long with all callers. Returns the number of events.
async fn write(annals: &Annals, time: Duration, is_sealed: bool) -> Result<u64, BoxError> {
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (annals, stop, written) = (annals.clone(), stop.clone(), written.clone());
            tokio::spawn(async move {
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    name(&annals, (n * CALLERS + caller) % PEOPLE, is_sealed).await?;
                    written.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, ExecuteError<std::convert::Infallible>>(())
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await??;
    }
    Ok(written.load(Ordering::Relaxed))
}
