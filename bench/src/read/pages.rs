//! Queries of the audit log, with pages of 50 rows.

use annals::events::Action;
use annals::prelude::*;
use annals::projections::RangeBound;
use annals::projections::audit::{AuditQuery, AuditRow, Cursor};
use annals_bench_driver::BoxError;
use jiff::{SignedDuration, Timestamp};

use super::shape::{ACTORS, AREAS, THINGS, TYPES, USERS};
use super::timing::{Times, times};

/// A query and the times of its pages.
#[derive(Debug)]
pub struct Row {
    /// Title of the query.
    pub title: &'static str,
    /// Newest first: the first page, and a page from a random cursor. Then the same oldest first.
    pub times: [Times; 4],
    /// Average number of rows of a page, and the number of pages that were short although there are more rows.
    pub rows: f64,
    pub short: u64,
}

/// Properties of the log that the queries use.
struct Log {
    head: u64,
    begin: Timestamp,
    end: Timestamp,
}

type Ask = fn(AuditQuery, u64, &Log) -> AuditQuery;

fn actor(query: AuditQuery, n: u64) -> AuditQuery {
    query.actor(format_args!("user:actor-{n}"))
}

fn area(query: AuditQuery, n: u64) -> AuditQuery {
    query.topic(format_args!("area_{}", n % AREAS))
}

fn kind(query: AuditQuery, n: u64) -> AuditQuery {
    query.event(format_args!("kind_{n}.happened"))
}

fn user(query: AuditQuery, n: u64) -> AuditQuery {
    query.target(format_args!("user:{n}"))
}

/// A range of a tenth of the time of the log.
fn window(query: AuditQuery, n: u64, log: &Log) -> AuditQuery {
    let whole = log.end.duration_since(log.begin);
    let begin = log.begin + whole / 1_000 * i32::try_from(n % 900).unwrap_or(0);
    query.from(RangeBound::Time(begin)).until(RangeBound::Time(begin + whole / 10))
}

const CASES: [(&str, Ask); 26] = [
    ("everything", |query, _, _| query),
    ("an actor of the ten most active", |query, n, _| actor(query, n % 10)),
    ("an actor of the last tenth", |query, n, _| actor(query, ACTORS - 1 - n % (ACTORS / 10))),
    ("an unknown actor", |query, n, _| actor(query, ACTORS + n)),
    ("a target of the ten most named", |query, n, _| user(query, n % 10)),
    ("a target of the last tenth", |query, n, _| user(query, USERS - 1 - n % (USERS / 10))),
    ("an aggregate", |query, n, _| query.aggregate(format_args!("thing:{}", n % THINGS))),
    ("a topic with topics below it", |query, n, _| area(query, n)),
    ("a topic without topics below it", |query, n, _| {
        query.topic(format_args!("area_{}/kind_{}", n % TYPES % AREAS, n % TYPES))
    }),
    ("five topics", |query, n, _| (0..5).fold(query, |query, m| area(query, n + m))),
    ("an event type of the ten most frequent", |query, n, _| kind(query, n % 10)),
    ("an event type of the last tenth", |query, n, _| kind(query, TYPES - 1 - n % (TYPES / 10))),
    ("an action", |query, n, _| query.action(Action::ALL[n as usize % 4])),
    ("a correlation", |query, n, log| query.correlation(format!("r-{}", n % (log.head / 4)))),
    ("a time", |query, n, log| window(query, n, log)),
    ("an active actor in a time", |query, n, log| window(actor(query, n % 10), n, log)),
    ("a topic in a time", |query, n, log| window(area(query, n), n, log)),
    ("active actor and topic", |query, n, _| area(actor(query, n % 10), n)),
    ("actor of the last tenth and topic", |query, n, _| area(actor(query, ACTORS - 1 - n % (ACTORS / 10)), n)),
    ("topic, action, active actor", |query, n, _| {
        area(actor(query, n % 10), n).action(Action::ALL[n as usize % 4])
    }),
    // Each kind has one action, so these two filters never match together.
    ("two large filters that never match together", |query, _, _| kind(query, 0).action(Action::ALL[1])),
    ("two large filters that rarely match together", |query, n, _| user(query, n % 3).actor("user:actor-0")),
    ("in order of occurrence", |query, _, _| query.by_occurrence()),
    ("active actor in order of occurrence", |query, n, _| actor(query.by_occurrence(), n % 10)),
    ("text that is everywhere", |query, _, _| query.text("A NOTE ABOUT")),
    ("text that is nowhere", |query, _, _| query.text("nowhere to be found")),
];

/// Runs all queries.
pub async fn ask(annals: &Annals, rows: &mut Vec<Row>) -> Result<(), BoxError> {
    let head = annals.store().head().await?.position;
    let time = async |position: u64| {
        let page = annals.events(position - 1, 1).await?;
        page.events.first().map(|event| event.recorded_at).ok_or_else(|| BoxError::from("an empty log"))
    };
    let log = Log { head, begin: time(1).await?, end: time(head).await? + SignedDuration::from_micros(1) };
    for (title, ask) in CASES {
        let mut row = Row { title, times: Default::default(), rows: 0.0, short: 0 };
        let (mut pages, mut found) = (0_u64, 0);
        for (n, (newest_first, deep)) in
            [(true, false), (true, true), (false, false), (false, true)].iter().enumerate()
        {
            // Cursors are created before the measured time.
            let cursors = if *deep { cursors(annals, ask, *newest_first, &log).await? } else { Vec::new() };
            let times = times(async |random| {
                // All pages from cursors are of one query.
                let number = if *deep { random % CURSORS } else { random };
                let mut query = question(annals, ask, number, *newest_first, &log);
                if let Some(cursor) = cursors.get(usize::try_from(number)?) {
                    query = query.cursor(*cursor);
                }
                let page = query.limit(50).page().await?;
                pages += 1;
                found += page.rows.len();
                row.short += u64::from(page.rows.len() < 50 && page.next.is_some());
                Ok(())
            });
            row.times[n] = times.await?;
        }
        row.rows = found as f64 / pages as f64;
        let [a, b, c, d] = row.times.map(|times| format!("{:.2}/{:.2}", times.p50, times.p99));
        eprintln!("  {title}: {a} {b} {c} {d} ms, {:.0} rows, {} of {pages} short", row.rows, row.short);
        rows.push(row);
    }
    Ok(())
}

/// Number of different deep pages of a query.
const CURSORS: u64 = 200;

fn question(annals: &Annals, ask: Ask, number: u64, newest_first: bool, log: &Log) -> AuditQuery {
    let query = ask(annals.audit(), super::shape::mixed(number), log);
    if newest_first { query.newest_first() } else { query }
}

/// A cursor for each of these queries, between a tenth and nine tenths of the log.
async fn cursors(annals: &Annals, ask: Ask, newest_first: bool, log: &Log) -> Result<Vec<Cursor>, BoxError> {
    let mut cursors = Vec::new();
    for number in 0..CURSORS {
        let position = log.head / 10 + super::shape::mixed(number ^ 0xDEE9) % (log.head * 8 / 10);
        let event = annals.events(position, 1).await?.events.pop().ok_or("an event is missing")?;
        let row = AuditRow::new(annals.types(), event)?;
        cursors.push(question(annals, ask, number, newest_first, log).cursor_after(&row)?);
    }
    Ok(cursors)
}
