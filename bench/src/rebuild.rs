//! Measures the rebuild of a view (count and sum per account) from a long log, and the delay until a view shows a write.

use annals_bench_driver::{Followed, Rebuilt, Reply, Task};

use crate::arguments::Arguments;
use crate::catalogue::Entry;
use crate::child;
use crate::peers::Peers;
use crate::session::Session;

/// Time limit of a rebuild in seconds. A replay by a stock framework is stopped then, and its total time is extrapolated.
const BOUND: u64 = 60;
/// Time for which writes are looked up in a view.
const FOLLOWING: u64 = 5;
/// Default number of events of the log.
const EVENTS: u64 = 500_000;
/// Events per account.
const PER_ACCOUNT: u64 = 50;

/// One row: a competitor and its results.
#[derive(Clone, Debug)]
pub struct Row<T> {
    pub entry: Entry,
    pub runs: Vec<T>,
    pub missing: Option<String>,
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Results {
    /// Number of events of the log.
    pub events: u64,
    /// Rebuilds.
    pub rebuilt: Vec<Row<Rebuilt>>,
    /// Delays until a view shows a write.
    pub followed: Vec<Row<Followed>>,
}

/// Measures all competitors.
pub async fn run(
    session: &Session,
    peers: &Peers,
    entries: &[Entry],
    arguments: &Arguments,
    results: &mut Results,
) {
    let events = arguments.events.unwrap_or(EVENTS);
    results.events = events;
    for run in 1..=arguments.runs {
        for entry in entries.iter().filter(|entry| entry.rebuilds()) {
            eprint!("run {run}: rebuild of {events} events, {}: ", entry.name);
            let reply = rebuild(session, peers, entry, events).await;
            let answer = |reply| match reply {
                Reply::Rebuilt(rebuilt) => Ok(rebuilt),
                other => Err(other),
            };
            take(&mut results.rebuilt, entry, reply, answer, |rebuilt| {
                format!("{:.0} events/s", rebuilt.events as f64 / rebuilt.seconds)
            });
        }
        for entry in entries.iter().filter(|entry| entry.follows()) {
            eprint!("run {run}: live projection, {}: ", entry.name);
            let reply = child::measure(session, peers, entry, Task::Follow { seconds: FOLLOWING }).await;
            let answer = |reply| match reply {
                Reply::Followed(followed) => Ok(followed),
                other => Err(other),
            };
            take(&mut results.followed, entry, reply, answer, |followed| format!("p50 {:.2} ms", followed.p50));
        }
    }
}

/// Fills a log in one process and rebuilds in another, so that the memory of the second process is that of the rebuild.
async fn rebuild(session: &Session, peers: &Peers, entry: &Entry, events: u64) -> Reply {
    let place = match session.fresh(entry.database).await {
        Ok(place) => place,
        Err(error) => return Reply::Failed(error.to_string()),
    };
    let fill = Task::Fill { events, accounts: (events / PER_ACCOUNT).max(1) };
    let reply = match child::ask(peers, entry, &place, fill).await {
        Reply::Filled(filled) => {
            eprint!("filled with {} events in {:.0} s, ", filled.events, filled.seconds);
            match session.settle(&place).await {
                Ok(()) => child::ask(peers, entry, &place, Task::Rebuild { seconds: BOUND }).await,
                Err(error) => Reply::Failed(error.to_string()),
            }
        }
        other => other,
    };
    session.remove(place).await;
    reply
}

fn take<T>(
    rows: &mut Vec<Row<T>>,
    entry: &Entry,
    reply: Reply,
    answer: impl FnOnce(Reply) -> Result<T, Reply>,
    words: impl FnOnce(&T) -> String,
) {
    let index = rows.iter().position(|row| row.entry.name == entry.name).unwrap_or_else(|| {
        rows.push(Row { entry: *entry, runs: Vec::new(), missing: None });
        rows.len() - 1
    });
    let row = &mut rows[index];
    let missing = match answer(reply) {
        Ok(result) => {
            eprintln!("{}", words(&result));
            row.runs.push(result);
            return;
        }
        Err(Reply::LeftOut(why)) => format!("skipped: {why}"),
        Err(Reply::Failed(why)) => format!("failed: {why}"),
        Err(other) => format!("failed: unexpected reply {other:?}"),
    };
    eprintln!("{missing}");
    row.missing = Some(missing);
}
