//! Measures many stores in one process, one for each tenant: how long they take to open, what they hold, how fast a command is.

use std::fmt::Write;
use std::time::Instant;

use annals::prelude::*;
use annals_bench_driver::{BoxError, Latencies};
use futures::stream::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::arguments::Arguments;
use crate::catalogue::{self, Database};
use crate::session::{Place, Session};

/// The number of stores, if none is given.
const TENANTS: u64 = 1_000;
/// How many are opened, or have a command, at the same time.
const AT_ONCE: usize = 8;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note", on = Note)]
pub enum NoteEvent {
    #[event(create, "{actor} wrote {note}: {text}")]
    Written { text: String },
}

/// A note.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Note {
    text: String,
}

impl Aggregate for Note {
    const TYPE: &'static str = "note";
    type Id = NoteId;
    type Event = NoteEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, NoteEvent::Written { text }: &NoteEvent) {
        self.text.clone_from(text);
    }
}

/// Write a note
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteNote {
    #[on(Note)]
    pub note: NoteId,
    pub text: String,
}

impl Handle for WriteNote {
    fn handle(&self, _: &Loaded<Note>, _: &Context) -> Result<Vec<NoteEvent>, std::convert::Infallible> {
        Ok(vec![NoteEvent::Written { text: self.text.clone() }])
    }
}

/// Measures it on both stores. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&arguments.only)?).await?;
    let tenants = arguments.events.unwrap_or(TENANTS);
    let mut text = format!(
        "\n## Tenants\n\n{tenants} stores in one process, each with the audit log and the metrics following, {AT_ONCE} at a time.\n\n\
         | store | opened in s | a store ms | memory MB | KB a store | threads | files | connections | first command p50 ms | p99 ms | idle cores | closed in s |\n\
         |--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for (name, database) in [("SQLite", Database::Sqlite), ("PostgreSQL", Database::Postgres)] {
        match measure(&session, database, tenants).await {
            Ok(cells) => writeln!(text, "| {name} | {cells} |")?,
            Err(why) => eprintln!("not on {name}: {why}"),
        }
    }
    session.clean_up().await;
    Ok(text)
}

async fn measure(session: &Session, database: Database, tenants: u64) -> Result<String, BoxError> {
    let mut places = Vec::new();
    for _ in 0..tenants {
        places.push(session.fresh(database).await?);
    }
    let before = Process::now()?;
    let began = Instant::now();
    let opened = futures::stream::iter(places.iter().map(Place::url))
        .map(async |url| App::new("bench").command::<WriteNote>().open(&url).await)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<Annals>>()
        .await?;
    let took = began.elapsed().as_secs_f64();
    let bench = Context::by("user:bench".parse::<Ref>()?);
    let times = futures::stream::iter(&opened)
        .map(async |annals| {
            let began = Instant::now();
            annals.execute(WriteNote { note: NoteId::new("1"), text: "the first".to_owned() }, &bench).await?;
            Ok::<_, BoxError>(began.elapsed())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let mut latencies = Latencies::default();
    times.into_iter().for_each(|time| latencies.record(time));
    let connections = match database {
        Database::Sqlite => 0,
        Database::Postgres => connections(session.connect().await?).await? - 1,
    };
    // Without commands: what following costs.
    let (idle, waited) = (Process::now()?, Instant::now());
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let after = Process::now()?;
    let idle = (after.cpu_seconds - idle.cpu_seconds) / waited.elapsed().as_secs_f64();
    let began = Instant::now();
    futures::stream::iter(&opened).for_each_concurrent(AT_ONCE, async |annals| annals.close().await).await;
    let memory = after.resident_kib.saturating_sub(before.resident_kib);
    let mut cells = vec![
        format!("{took:.1}"),
        format!("{:.1}", took * 1e3 / tenants as f64),
        format!("{:.0}", memory as f64 / 1024.0),
        format!("{:.0}", memory as f64 / tenants as f64),
        (after.threads - before.threads.min(after.threads)).to_string(),
        (after.files - before.files.min(after.files)).to_string(),
        connections.to_string(),
    ];
    cells.extend([latencies.quantile(0.5), latencies.quantile(0.99)].map(|ms| format!("{ms:.1}")));
    cells.push(format!("{idle:.2}"));
    cells.push(format!("{:.1}", began.elapsed().as_secs_f64()));
    for place in places {
        session.remove(place).await;
    }
    Ok(cells.join(" | "))
}

async fn connections(mut connection: PgConnection) -> Result<i64, BoxError> {
    let clients = "SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
    Ok(sqlx::query_scalar(clients).fetch_one(&mut connection).await?)
}

/// What the operating system says of this process.
struct Process {
    resident_kib: u64,
    threads: u64,
    files: u64,
    cpu_seconds: f64,
}

impl Process {
    fn now() -> Result<Self, BoxError> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let value = |name: &str| -> Result<u64, BoxError> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
            Ok(line.split_ascii_whitespace().next().unwrap_or_default().parse()?)
        };
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // After the name in brackets: user and system time are the 12th and 13th, in hundredths of a second.
        let after_name = stat.rsplit_once(')').ok_or("no name")?.1;
        let ticks: Vec<f64> =
            after_name.split_ascii_whitespace().skip(11).take(2).map_while(|ticks| ticks.parse().ok()).collect();
        Ok(Self {
            resident_kib: value("VmRSS:")?,
            threads: value("Threads:")?,
            files: std::fs::read_dir("/proc/self/fd")?.count() as u64,
            cpu_seconds: ticks.iter().sum::<f64>() / 100.0,
        })
    }
}
