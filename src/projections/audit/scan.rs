//! Finds rows: candidates from one index, checked against the other filters, in a few rounds of growing size.
//!
//! The most selective filter drives. If every filter matches many events, a page examines a bounded number of candidates: it
//! may hold fewer rows than wanted, or none, with a cursor after the last candidate. A page also ends when its rows have
//! [`PAGE_BYTES`] of text, or when [`SEARCHED_BYTES`] were searched for a text.

use super::filter::{AGGREGATE, ResolvedFilter};
use super::plan::{QueryPlan, ReadProgress, occurrence_key};
use super::sql::{Driver, OccurrenceKey, RARE, SCALE, Sql, Window};
use super::{AuditError, AuditRow, Detail};
use crate::events::LogPosition;
use crate::store::{Cell, StoreError, ViewSnapshot};

/// The candidates of each round, if the audit log's tables decide which of them match.
const CHECKED: [usize; 3] = [256 / SCALE, 1_024 / SCALE, 4_096 / SCALE];

/// The same for a filter by aggregate alone: most events with it as a target are its own, so that a page's worth often is
/// enough.
const OWN: [usize; 4] = [0, CHECKED[0], CHECKED[1], CHECKED[2]];

/// The same if the events have to be read from the log, for a filter by text.
const READ: [usize; 2] = [256 / SCALE, 768 / SCALE];

/// The size of the texts of a page, in bytes, at which it ends. One row may be larger.
pub(super) const PAGE_BYTES: usize = (1 << 20) / SCALE;

/// The size of the events that are searched for a text for one page, in bytes, at which it ends.
const SEARCHED_BYTES: usize = (16 << 20) / SCALE;

/// The most candidates of a round, over all values of a filter.
const MAX_CANDIDATES: usize = 65_536;

/// The candidates of a page, of one snapshot. What follows reads the log alone, so the snapshot can be closed: a store has few of
/// them, and reading large events takes long.
#[derive(Debug)]
pub(super) struct Candidates {
    pub found: Vec<Candidate>,
    /// Whether no more events can match.
    exhausted: bool,
    /// The head of the log that the snapshot covers.
    pub head: LogPosition,
    /// How much of each event the rows show.
    detail: Detail,
}

/// The result of a scan.
#[derive(Debug)]
pub(super) struct Scan {
    pub rows: Vec<AuditRow>,
    /// The last candidate: the next scan begins after it.
    pub last: Option<OccurrenceKey>,
    /// Whether no more events can match.
    pub exhausted: bool,
    /// The number of candidates examined.
    pub examined: usize,
    /// The size of the events that were read, and of the texts of the rows, in bytes.
    pub read: usize,
    text_bytes: usize,
}

/// Finds the next candidates, for at most `wanted` rows.
pub(super) async fn find(
    plan: &QueryPlan,
    progress: &mut ReadProgress,
    snapshot: &mut dyn ViewSnapshot,
    wanted: usize,
) -> Result<Candidates, AuditError> {
    // Bounds are resolved after the snapshot was taken, so that the log is not behind it.
    let mut candidates =
        Candidates { found: Vec::new(), exhausted: true, head: snapshot.head(), detail: progress.detail };
    let mut window = plan.window(progress, candidates.head.position).await?;
    if window.is_empty() {
        return Ok(candidates);
    }
    let Some(filter) = plan.filter.resolved(snapshot).await? else { return Ok(candidates) };
    let driver = driver(&filter, &window, snapshot).await?;
    for size in rounds(plan, &filter, &window, driver, wanted, snapshot) {
        let (sql, parameters) = Sql::new(&filter, &window, snapshot).page(driver, size);
        let mut found: Vec<Candidate> =
            snapshot.query(&sql, parameters).await?.iter().filter_map(|row| candidate(row)).collect();
        found.sort_unstable_by_key(|candidate| candidate.moment);
        if plan.newest_first {
            found.reverse();
        }
        candidates.exhausted = found.len() < size;
        candidates.found.append(&mut found);
        if candidates.exhausted || candidates.are_enough(plan, wanted) {
            break;
        }
        if let Some(last) = candidates.found.last() {
            window.continue_after(last.moment);
        }
    }
    Ok(candidates)
}

impl Candidates {
    /// Whether they are as many rows as wanted. Which of them match a filter by text only their events show.
    fn are_enough(&self, plan: &QueryPlan, wanted: usize) -> bool {
        plan.filter.texts.is_empty() && self.found.iter().filter(|candidate| candidate.passes).count() >= wanted
    }

    /// Reads the rows from the log, at most `wanted`.
    pub(super) async fn read(self, plan: &QueryPlan, wanted: usize) -> Result<Scan, AuditError> {
        let mut scan = Scan {
            rows: Vec::new(),
            last: self.found.last().map(|last| last.moment),
            exhausted: self.exhausted,
            examined: self.found.len(),
            read: 0,
            text_bytes: 0,
        };
        let passed: Vec<u64> = self.found.iter().filter(|it| it.passes).map(|it| it.moment.1).collect();
        if let Some(stopped) = scan.read(plan, self.detail, &passed, self.head, wanted).await? {
            scan.examined = self.found.iter().take_while(|it| it.moment.1 != stopped.1).count() + 1;
            scan.last = Some(stopped);
            scan.exhausted = false;
        }
        Ok(scan)
    }
}

/// An event that the driver selects.
#[derive(Debug)]
pub(super) struct Candidate {
    moment: OccurrenceKey,
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

/// The number of candidates of each round.
fn rounds(
    plan: &QueryPlan,
    filter: &ResolvedFilter,
    window: &Window,
    driver: Driver,
    wanted: usize,
    snapshot: &dyn ViewSnapshot,
) -> Vec<usize> {
    let first = wanted.saturating_add(1);
    let sizes: &[usize] = match plan.filter.texts.is_empty() {
        true if Sql::new(filter, window, snapshot).takes_all(driver) => return vec![first],
        true if is_aggregate(filter, driver) => &OWN,
        true => &CHECKED,
        false => &READ,
    };
    let arms = match driver {
        Driver::Filter { index, .. } => filter.columns.get(index).map_or(1, |filter| filter.values.len()),
        _ => 1,
    };
    let most = (MAX_CANDIDATES / arms.max(1)).max(first);
    sizes.iter().enumerate().map(|(n, size)| if n == 0 { first.max(*size) } else { most.min(*size) }).collect()
}

/// Whether the only filter is by aggregate, and it drives.
fn is_aggregate(filter: &ResolvedFilter, driver: Driver) -> bool {
    let alone = matches!(&*filter.columns, [only] if only.column == AGGREGATE) && filter.occurred.is_none();
    alone && matches!(driver, Driver::Filter { .. })
}

/// The driver: of several filters the one that matches the fewest events.
pub(super) async fn driver(
    filter: &ResolvedFilter,
    window: &Window,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Driver, StoreError> {
    let by_occurrence = window.moments.is_some();
    let choices = filter.columns.len() + usize::from(filter.occurred.is_some());
    if choices == 0 {
        return Ok(Driver::Order);
    }
    if choices == 1 && filter.occurred.is_none() && !by_occurrence {
        return Ok(Driver::Filter { index: 0, rare: false });
    }
    let (sql, parameters) = Sql::new(filter, window, snapshot).count_by_filter();
    let counts = snapshot.query(&sql, parameters).await?;
    let counts = counts.first().into_iter().flatten().map(|cell| cell.integer().unwrap_or(i64::MAX));
    let counts: Vec<usize> = counts.map(|count| usize::try_from(count).unwrap_or(usize::MAX)).collect();
    let fewest = counts.iter().enumerate().min_by_key(|(_, count)| **count);
    Ok(match fewest {
        Some((index, count)) if index < filter.columns.len() => Driver::Filter { index, rare: *count < RARE },
        Some((_, count)) if *count < RARE && !by_occurrence => Driver::Occurrence,
        _ if filter.columns.is_empty() || by_occurrence => Driver::Order,
        _ => Driver::Filter { index: 0, rare: false },
    })
}

impl Scan {
    fn is_full(&self, plan: &QueryPlan, wanted: usize) -> bool {
        let searched = if plan.filter.texts.is_empty() { 0 } else { self.read };
        self.rows.len() >= wanted || self.text_bytes >= PAGE_BYTES || searched >= SEARCHED_BYTES
    }

    /// Adds the rows at these positions, in this order, that match the filter by text. If the page is full before the last
    /// position, returns the last event examined.
    async fn read(
        &mut self,
        plan: &QueryPlan,
        detail: Detail,
        positions: &[u64],
        head: LogPosition,
        wanted: usize,
    ) -> Result<Option<OccurrenceKey>, AuditError> {
        let types = plan.reading.types();
        let mut rest = positions;
        while !rest.is_empty() {
            // Without a filter by text every event is a row.
            let most = if plan.filter.texts.is_empty() { wanted - self.rows.len() } else { rest.len() };
            let next = &rest[..most.min(rest.len())];
            let (events, left) = plan.reading.events(next, head).await?;
            let read = next.len() - left.len();
            if events.len() != read {
                return Err(StoreError::Diverged(head).into());
            }
            rest = &rest[read..];
            let opens = detail == Detail::Full && !plan.sealed;
            if opens {
                types.load_keys(&events).await;
            }
            let mut unread = events.len() + rest.len();
            for event in events {
                unread -= 1;
                self.read += event.text_bytes();
                let key = occurrence_key(event.occurred_at, event.position);
                let matches = plan.filter.matches_text(&event, types);
                if matches.map_err(|source| AuditError::from_decode(event.position, source))? {
                    let mut row = match opens {
                        true => types.opened(|| AuditRow::with_detail(detail, types, event))?,
                        false => AuditRow::with_detail(detail, types, event)?,
                    };
                    if plan.shortened {
                        row.shorten();
                    }
                    self.text_bytes += row.text_bytes();
                    self.rows.push(row);
                }
                if unread > 0 && self.is_full(plan, wanted) {
                    return Ok(Some(key));
                }
            }
        }
        Ok(None)
    }
}
