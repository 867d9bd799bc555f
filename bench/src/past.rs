//! Measures how long the state of an aggregate of many events takes, at random moments of its past.

use std::fmt::Write;
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals_bench_driver::{BoxError, Latencies};
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::session::Session;

/// The number of events, if none is given.
const EVENTS: u64 = 1_000_000;
/// The events of a command.
const AT_ONCE: u64 = 1_000;
/// The moments that are measured.
const MOMENTS: u64 = 200;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "meter", on = Meter)]
pub enum MeterEvent {
    #[event(update, "{actor} read {units} off {meter}: {note}")]
    Counted { units: u64, note: String },
}

/// A sum.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Meter {
    units: u64,
}

impl Aggregate for Meter {
    const TYPE: &'static str = "meter";
    type Id = MeterId;
    type Event = MeterEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, MeterEvent::Counted { units, .. }: &MeterEvent) {
        self.units += units;
    }
}

/// Count many times
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CountOften {
    #[on(Meter)]
    pub meter: MeterId,
    pub times: u64,
}

impl Handle for CountOften {
    fn handle(&self, _: &Loaded<Meter>, _: &Context) -> Result<Vec<MeterEvent>, std::convert::Infallible> {
        let event = |units| MeterEvent::Counted { units, note: "as it was on the display".to_owned() };
        Ok((0..self.times).map(event).collect())
    }
}

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let sqlite = session.fresh(Database::Sqlite).await?;
    let mut stores = vec![("SQLite", format!("sqlite://{}/log.db", sqlite.address()))];
    match session.fresh(Database::Postgres).await {
        Ok(postgres) => stores.push(("PostgreSQL", postgres.address())),
        Err(why) => eprintln!("not on PostgreSQL: {why}"),
    }
    let measured = measure(arguments.events, &stores).await;
    session.clean_up().await;
    measured
}

/// Measures it on these stores.
async fn measure(events: Option<u64>, stores: &[(&str, String)]) -> Result<String, BoxError> {
    let events = events.unwrap_or(EVENTS);
    let mut text = format!(
        "\n## The past\n\nThe state of an aggregate of {events} events at {MOMENTS} random positions, one caller.\n\n\
         | store | p50 ms | p99 ms | max ms |\n|--|--:|--:|--:|\n"
    );
    for (name, url) in stores {
        let annals = App::new("bench").command::<CountOften>().open_without_following(url).await?;
        let (id, bench) = (MeterId::new("1"), Context::by("user:bench".parse::<Ref>()?));
        for _ in 0..events.div_ceil(AT_ONCE) {
            annals.execute(CountOften { meter: id.clone(), times: AT_ONCE }, &bench).await?;
        }
        let head = annals.store().head().await?.position;
        // Snapshots are written in the background.
        annals.load::<Meter>(&id).await?;
        settle(&annals, &id, head).await?;
        let (mut times, mut longest) = (Latencies::default(), Duration::ZERO);
        for number in 1..=MOMENTS {
            let position = number.wrapping_mul(7_919_317) % head + 1;
            let began = Instant::now();
            let then = annals.load::<Meter>(&id).at(position).await?;
            let took = began.elapsed();
            if then.sequence() != position {
                return Err(format!("at position {position} there were {} events", then.sequence()).into());
            }
            times.record(took);
            longest = longest.max(took);
        }
        annals.close().await;
        let longest = longest.as_secs_f64() * 1e3;
        writeln!(text, "| {name} | {:.1} | {:.1} | {longest:.1} |", times.quantile(0.5), times.quantile(0.99))?;
    }
    Ok(text)
}

/// Waits until the snapshots are there: the answer does not get faster any more.
async fn settle(annals: &Annals, id: &MeterId, head: u64) -> Result<(), BoxError> {
    for _ in 0..60 {
        let began = Instant::now();
        annals.load::<Meter>(id).at(head / 2).await?;
        if began.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
