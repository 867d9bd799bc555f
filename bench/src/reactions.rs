//! Measures reactions: how many commands follow in a second, how long after their events, and how late timers are beside many others.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::reactions::{Reaction, Then};
use annals_bench_driver::{BoxError, Latencies};
use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::session::{Place, Session};

/// The callers that write.
const CALLERS: u64 = 64;
/// The aggregates that they write to.
const LAMPS: u64 = 1_000;
/// The events in a second while the delay of reactions is measured.
const PACED: u64 = 200;
/// The timers that are set, if no number is given, and those of them that are due during the measurement.
const TIMERS: u64 = 100_000;
const DUE: u64 = 500;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LampId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp", on = Lamp)]
pub enum LampEvent {
    #[event(update, "{actor} turned {lamp} on")]
    On { off_after: Option<u64> },
    #[event(update, "{actor} turned {lamp} off")]
    Off,
}

/// A lamp.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Lamp {
    on: bool,
}

impl Aggregate for Lamp {
    const TYPE: &'static str = "lamp";
    type Id = LampId;
    type Event = LampEvent;
    type Error = std::convert::Infallible;
    fn apply(&mut self, event: &LampEvent) {
        self.on = matches!(event, LampEvent::On { .. });
    }
}

/// Turn a lamp on
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TurnOn {
    #[on(Lamp)]
    pub lamp: LampId,
    pub times: u64,
    /// Milliseconds after which it is turned off, of the first time; one more for each other time.
    pub off_after: Option<u64>,
}

impl Handle for TurnOn {
    fn handle(&self, _: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, std::convert::Infallible> {
        Ok((0..self.times).map(|n| LampEvent::On { off_after: self.off_after.map(|after| after + n) }).collect())
    }
}

/// Turn a lamp off
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TurnOff {
    #[on(Lamp)]
    pub lamp: LampId,
}

impl Handle for TurnOff {
    fn handle(&self, _: &Loaded<Lamp>, _: &Context) -> Result<Vec<LampEvent>, std::convert::Infallible> {
        Ok(vec![LampEvent::Off])
    }
}

/// Turns each lamp off that was turned on: at once, or by a timer.
struct Saving;

impl Reaction for Saving {
    const NAME: &'static str = "saving";
    type On = Lamp;
    fn react(event: &Recorded<LampEvent>, lamp: &Loaded<Lamp>) -> Then {
        let off = TurnOff { lamp: lamp.id().clone() };
        match event.event {
            LampEvent::On { off_after: None } => off.into(),
            LampEvent::On { off_after: Some(after) } => {
                Then::nothing().after(Duration::from_millis(after), event.event_id.to_string(), off)
            }
            LampEvent::Off => Then::nothing(),
        }
    }
}

pub fn app() -> App {
    App::new("bench").command::<TurnOn>().command::<TurnOff>()
}

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let seconds = Duration::from_secs(arguments.seconds);
    let timers = arguments.events.unwrap_or(TIMERS);
    let mut text = format!(
        "\n## Reactions\n\nEach event leads to one command. {CALLERS} callers on {LAMPS} aggregates for {} s; the delay from the commit of \
         an event to that of its command at {PACED} events/s; the delay of {DUE} timers beside {timers} others.\n\n\
         | store | events/s alone | events/s with the reaction | commands/s of the reaction | delay p50 ms | p99 ms | timers p50 ms | p99 ms |\n\
         |--|--:|--:|--:|--:|--:|--:|--:|\n",
        seconds.as_secs()
    );
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        let measured = async {
            let mut cells = vec![name.to_owned()];
            // A fresh store is removed with its handle.
            let fresh = session.fresh(database).await?;
            let alone = app().open(&url(&fresh, database)).await?;
            cells.push(format!("{:.0}", write(&alone, seconds).await? as f64 / seconds.as_secs_f64()));
            alone.close().await;
            let fresh = session.fresh(database).await?;
            let annals = app().reaction::<Saving>().open(&url(&fresh, database)).await?;
            let began = Instant::now();
            let written = write(&annals, seconds).await?;
            let took = began.elapsed();
            quiet(&annals, 0).await?;
            cells.push(format!("{:.0}", written as f64 / took.as_secs_f64()));
            cells.push(format!("{:.0}", written as f64 / began.elapsed().as_secs_f64()));
            let delays = paced(&annals, seconds).await?;
            cells.push(format!("{:.1}", delays.quantile(0.5)));
            cells.push(format!("{:.1}", delays.quantile(0.99)));
            let late = timed(&annals, timers).await?;
            cells.push(format!("{:.1}", late.quantile(0.5)));
            cells.push(format!("{:.1}", late.quantile(0.99)));
            annals.close().await;
            Ok::<_, BoxError>(cells.join(" | "))
        };
        match measured.await {
            Ok(cells) => writeln!(text, "| {cells} |")?,
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text)
}

pub fn url(fresh: &Place, database: Database) -> String {
    match database {
        Database::Sqlite => format!("sqlite://{}/log.db", fresh.address()),
        Database::Postgres => fresh.address(),
    }
}

fn by() -> Context {
    Context::by(Ref::new("user", "bench").expect("a reference"))
}

/// Turns a lamp on so many times, in one command.
pub async fn turn_on(annals: &Annals, lamp: &str, times: u64) -> Result<Receipt, BoxError> {
    Ok(annals.execute(TurnOn { lamp: LampId::new(lamp), times, off_after: None }, &by()).await?)
}

/// Writes for this long with all callers. Returns the number of events.
pub async fn write(annals: &Annals, time: Duration) -> Result<u64, BoxError> {
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (annals, stop, written) = (annals.clone(), stop.clone(), written.clone());
            tokio::spawn(async move {
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let lamp = LampId::new(((n * CALLERS + caller) % LAMPS).to_string());
                    annals.execute(TurnOn { lamp, times: 1, off_after: None }, &by()).await?;
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

/// Waits until only this many timers are left to be done.
async fn quiet(annals: &Annals, timers: u64) -> Result<(), BoxError> {
    loop {
        let status = annals.reactions().await?.remove(0);
        if status.pending == 0 && status.timers <= timers && status.position == status.head {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Writes at an even pace; returns the time from the record of each event to that of its command.
async fn paced(annals: &Annals, time: Duration) -> Result<Latencies, BoxError> {
    let after = annals.store().head().await?.position;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(PACED)?);
    let began = Instant::now();
    let mut callers = Vec::new();
    for n in 0.. {
        ticks.tick().await;
        if began.elapsed() > time {
            break;
        }
        let annals = annals.clone();
        let lamp = LampId::new((n % LAMPS).to_string());
        callers.push(tokio::spawn(async move {
            annals.execute(TurnOn { lamp, times: 1, off_after: None }, &by()).await.map(drop)
        }));
    }
    for caller in callers {
        caller.await??;
    }
    quiet(annals, 0).await?;
    delays(annals, after, Duration::ZERO).await
}

/// Sets timers that are due in a day, and others that are due soon; returns how late these were.
async fn timed(annals: &Annals, timers: u64) -> Result<Latencies, BoxError> {
    const AT_ONCE: u64 = 500;
    const DAY: u64 = 86_400_000;
    for n in 0..timers.div_ceil(AT_ONCE) {
        let lamp = LampId::new(format!("later-{n}"));
        annals.execute(TurnOn { lamp, times: AT_ONCE, off_after: Some(DAY) }, &by()).await?;
    }
    quiet(annals, u64::MAX).await?;
    let after = annals.store().head().await?.position;
    const SOON: u64 = 2_000;
    for n in 0..DUE {
        let lamp = LampId::new(format!("soon-{n}"));
        annals.execute(TurnOn { lamp, times: 1, off_after: Some(SOON) }, &by()).await?;
    }
    while annals
        .pending_steps("saving", 1)
        .await?
        .first()
        .is_some_and(|step| step.aggregate.id().starts_with("soon"))
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    delays(annals, after, Duration::from_millis(SOON)).await
}

/// The times from the record of each event after a position to that of its command, less `wanted`.
async fn delays(annals: &Annals, after: u64, wanted: Duration) -> Result<Latencies, BoxError> {
    let (mut delays, mut recorded, mut after) = (Latencies::default(), HashMap::new(), after);
    loop {
        let page = annals.events(after, 10_000).await?;
        if page.events.is_empty() {
            return Ok(delays);
        }
        after = page.to.position;
        for stored in &page.events {
            match stored.metadata()?.causation {
                None => drop(recorded.insert(stored.event_id.to_string(), stored.recorded_at)),
                Some(cause) => {
                    let Some(asked) = recorded.get(&cause) else { continue };
                    let delay = stored.recorded_at.duration_since(*asked);
                    delays.record(Duration::try_from(delay)?.saturating_sub(wanted));
                }
            }
        }
    }
}
