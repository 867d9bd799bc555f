//! How rows are found: candidates down one index, sifted, in a few rounds that grow.
//!
//! What is rare drives whatever else is asked. Where every filter lets many events through, each page looks at a bounded
//! number of candidates: it may come out short, or empty, with a cursor behind the last one it looked at.

use std::collections::HashMap;

use super::filters::{AGGREGATE, Wanted};
use super::plan::{Place, Plan, moment_of};
use super::sql::{Driver, Moment, RARE, SCALE, Sql, Window};
use super::text;
use super::{AuditError, AuditRow};
use crate::events::LogPosition;
use crate::store::{Cell, StoreError, ViewSnapshot};

/// How many candidates each round looks at, where some have to be sifted out by the audit log's own tables.
const SIFTED: [usize; 3] = [256 / SCALE, 1_024 / SCALE, 4_096 / SCALE];

/// The same for an aggregate alone: what has it as a target is mostly its own, so that a page's worth often is enough.
const OWN: [usize; 4] = [0, SIFTED[0], SIFTED[1], SIFTED[2]];

/// The same where the events themselves have to be read, for their text.
const READ: [usize; 2] = [256 / SCALE, 768 / SCALE];

/// The most candidates that all values of a filter together bring to a round.
const MOST_GATHERED: usize = 65_536;

/// What a page's worth of looking found.
#[derive(Debug)]
pub(super) struct Scan {
    pub rows: Vec<AuditRow>,
    /// The last event that was looked at: the next scan begins behind it.
    pub last: Option<Moment>,
    /// Whether there is nothing more.
    pub exhausted: bool,
    /// How many candidates were looked at.
    pub examined: usize,
}

/// The next rows, `wanted` of them at most.
pub(super) async fn scan(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
    wanted: usize,
) -> Result<Scan, AuditError> {
    let mut scan = Scan { rows: Vec::new(), last: None, exhausted: true, examined: 0 };
    // Bounds are looked up after the snapshot was taken: the log is not behind it.
    let head = snapshot.head();
    let mut window = plan.window(place, head.position).await?;
    if window.is_empty() {
        return Ok(scan);
    }
    let Some(asked) = plan.filters.resolved(plan.occurred.clone(), snapshot).await? else { return Ok(scan) };
    let driver = driver(&asked, &window, snapshot).await?;
    for size in rounds(plan, &asked, &window, driver, wanted, snapshot) {
        let (sql, parameters) = Sql::new(&asked, &window, snapshot).page(driver, size);
        let mut candidates: Vec<Candidate> =
            snapshot.query(&sql, parameters).await?.iter().filter_map(|row| candidate(row)).collect();
        candidates.sort_unstable_by_key(|candidate| candidate.moment);
        if plan.newest_first {
            candidates.reverse();
        }
        scan.examined += candidates.len();
        scan.exhausted = candidates.len() < size;
        scan.last = candidates.last().map(|last| last.moment).or(scan.last);
        let mut passed: Vec<u64> = candidates.iter().filter(|it| it.passes).map(|it| it.moment.1).collect();
        let room = wanted - scan.rows.len();
        let mut more = false;
        if plan.filters.texts.is_empty() {
            more = passed.len() > room;
            passed.truncate(room);
        }
        let mut rows = read(plan, &passed, head).await?;
        if !plan.filters.texts.is_empty() {
            more = rows.len() > room;
            rows.truncate(room);
        }
        scan.rows.append(&mut rows);
        if more {
            scan.exhausted = false;
            scan.last = scan.rows.last().map(moment_of).or(scan.last);
        }
        if more || scan.exhausted {
            break;
        }
        if let Some(last) = scan.last {
            window.go_on_after(last);
        }
    }
    Ok(scan)
}

struct Candidate {
    moment: Moment,
    passes: bool,
}

fn candidate(row: &[Cell]) -> Option<Candidate> {
    match row {
        [Cell::Integer(position), Cell::Integer(occurred), Cell::Integer(passes)] => {
            Some(Candidate { moment: (*occurred, u64::try_from(*position).ok()?), passes: *passes == 1 })
        }
        _ => None,
    }
}

/// How many candidates to look at, round by round.
fn rounds(
    plan: &Plan,
    asked: &Wanted,
    window: &Window,
    driver: Driver,
    wanted: usize,
    snapshot: &dyn ViewSnapshot,
) -> Vec<usize> {
    let first = wanted.saturating_add(1);
    let sizes: &[usize] = match plan.filters.texts.is_empty() {
        true if Sql::new(asked, window, snapshot).takes_all(driver) => return vec![first],
        true if is_aggregate(asked, driver) => &OWN,
        true => &SIFTED,
        false => &READ,
    };
    let arms = match driver {
        Driver::Filter { index, .. } => asked.filters.get(index).map_or(1, |filter| filter.values.len()),
        _ => 1,
    };
    let most = (MOST_GATHERED / arms.max(1)).max(first);
    sizes.iter().enumerate().map(|(n, size)| if n == 0 { first.max(*size) } else { most.min(*size) }).collect()
}

/// Whether an aggregate alone is asked for, and drives.
fn is_aggregate(asked: &Wanted, driver: Driver) -> bool {
    let alone = matches!(&*asked.filters, [only] if only.column == AGGREGATE) && asked.occurred.is_none();
    alone && matches!(driver, Driver::Filter { .. })
}

/// What drives: of several filters the one that lets the fewest events through.
pub(super) async fn driver(
    asked: &Wanted,
    window: &Window,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Driver, StoreError> {
    let by_occurrence = window.moments.is_some();
    let choices = asked.filters.len() + usize::from(asked.occurred.is_some());
    if choices == 0 {
        return Ok(Driver::Order);
    }
    if choices == 1 && asked.occurred.is_none() && !by_occurrence {
        return Ok(Driver::Filter { index: 0, rare: false });
    }
    let (sql, parameters) = Sql::new(asked, window, snapshot).census();
    let counts = snapshot.query(&sql, parameters).await?;
    let counts = counts.first().into_iter().flatten().map(|cell| cell.integer().unwrap_or(i64::MAX));
    let counts: Vec<usize> = counts.map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect();
    let fewest = counts.iter().enumerate().min_by_key(|(_, count)| **count);
    Ok(match fewest {
        Some((index, count)) if index < asked.filters.len() => Driver::Filter { index, rare: *count < RARE },
        Some((_, count)) if *count < RARE && !by_occurrence => Driver::Occurrence,
        _ if asked.filters.is_empty() || by_occurrence => Driver::Order,
        _ => Driver::Filter { index: 0, rare: false },
    })
}

/// The rows at these positions, in this order: those that say what is looked for.
async fn read(plan: &Plan, positions: &[u64], head: LogPosition) -> Result<Vec<AuditRow>, AuditError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let events = plan.reading.events(positions, head).await?;
    let mut events: HashMap<u64, _> = events.into_iter().map(|event| (event.position, event)).collect();
    let (types, texts) = (plan.reading.types(), &plan.filters.texts);
    let mut rows = Vec::new();
    for position in positions {
        let event = events.remove(position).ok_or(StoreError::Diverged(head))?;
        let said = text::is_said(&event, types, texts);
        if said.map_err(|source| AuditError::at_event(*position, source))? {
            rows.push(AuditRow::new(types, event)?);
        }
    }
    Ok(rows)
}
