//! [`AuditCount`]: how many events a question finds, and whose, of which kind.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::Serialize;

use super::plan::{Place, Plan};
use super::sql::Sql;
use super::{AuditError, scan};
use crate::events::{Action, LogPosition, Ref};
use crate::store::{Cell, StoreError, ViewSnapshot};

/// How many events are looked at when nothing is said, and at most.
const USUAL: u64 = 10_000;
const MOST: u64 = 1_000_000;

/// How many rows are in memory at a time.
const ROWS: usize = 1_000;

/// The most values that are listed of one facet.
const LISTED: usize = 100;

/// How many events a question finds, and by whom, of which action and type they are.
///
/// The work is bounded: so many events are looked at (10,000, or the query's limit, 1,000,000 at most), in the order
/// asked for. Where there are more, [`complete`](Self::complete) is false and every number reads "at least". Looking at
/// 10,000 takes tens of milliseconds, and longer with a text to look for, since then each event is read.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditCount {
    /// How many events were found.
    pub events: u64,
    /// Whether these are all: else there may be more.
    pub complete: bool,
    /// Who did them, most first: a hundred at most.
    pub actors: Vec<Facet<Ref>>,
    /// How many actors did them.
    pub distinct_actors: u64,
    /// What was done, most first.
    pub actions: Vec<Facet<Action>>,
    /// The types of the events, most first: a hundred at most.
    pub event_types: Vec<Facet<String>>,
    /// The place in the log that the numbers are true at.
    pub head: LogPosition,
}

/// How many of the events have this value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Facet<T> {
    /// The value.
    pub value: T,
    /// How many have it.
    pub events: u64,
}

/// A value while it is counted, and the position of an event that has it.
type Tally<T> = HashMap<T, (u64, u64)>;

pub(super) async fn count(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<AuditCount, AuditError> {
    let most = usize::try_from(plan.limit.unwrap_or(USUAL).min(MOST)).unwrap_or(usize::MAX);
    match plan.filters.texts.is_empty() {
        true => count_numbers(plan, place, snapshot, most).await,
        false => count_rows(plan, place, snapshot, most).await,
    }
}

/// Counts in the audit log's own tables; one event of each value says what its number stands for.
async fn count_numbers(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
    most: usize,
) -> Result<AuditCount, AuditError> {
    let head = snapshot.head();
    let window = plan.window(place, head.position).await?;
    let asked = match window.is_empty() {
        true => None,
        false => plan.filters.resolved(plan.occurred.clone(), snapshot).await?,
    };
    let mut groups = Vec::new();
    if let Some(asked) = asked {
        let driver = scan::driver(&asked, &window, snapshot).await?;
        let (sql, parameters) = Sql::new(&asked, &window, snapshot).count(driver, most);
        groups = snapshot.query(&sql, parameters).await?;
    }
    let [mut actors, mut actions, mut event_types] = [Tally::new(), Tally::new(), Tally::new()];
    let (mut examined, mut events) = (0, 0);
    for group in &groups {
        let numbers: Vec<i64> = group.iter().filter_map(Cell::integer).collect();
        let [passes, actor, action, event_type, many, last] = numbers[..] else { continue };
        let (many, last) = (u64::try_from(many).unwrap_or(0), u64::try_from(last).unwrap_or(0));
        examined += many;
        if passes == 1 {
            events += many;
            for (tally, value) in [(&mut actors, actor), (&mut actions, action), (&mut event_types, event_type)] {
                add(tally, value, many, last);
            }
        }
    }
    let distinct_actors = actors.len() as u64;
    let [actors, actions, event_types] = [actors, actions, event_types].map(sorted);
    let places: Vec<u64> = [&actors, &actions, &event_types].into_iter().flatten().map(|(_, at)| *at).collect();
    let mut named = HashMap::new();
    for stored in plan.reading.events(&places, head).await? {
        let known = plan.reading.types().of(&stored);
        let named_by = known.and_then(|known| Ok((stored.metadata()?.actor, known.declaration)));
        let named_by = named_by.map_err(|source| AuditError::at_event(stored.position, source))?;
        named.insert(stored.position, named_by);
    }
    let name = |at: &u64| named.get(at).ok_or(AuditError::Store(StoreError::Diverged(head)));
    Ok(AuditCount {
        events,
        complete: examined < most as u64,
        actors: facets(&actors, |at| Ok(name(at)?.0.clone()))?,
        distinct_actors,
        actions: facets(&actions, |at| Ok(name(at)?.1.action))?,
        event_types: facets(&event_types, |at| Ok(name(at)?.1.event_type.to_owned()))?,
        head,
    })
}

fn facets<T>(
    tally: &[(u64, u64)],
    value: impl Fn(&u64) -> Result<T, AuditError>,
) -> Result<Vec<Facet<T>>, AuditError> {
    tally.iter().map(|(events, at)| Ok(Facet { value: value(at)?, events: *events })).collect()
}

/// Counts rows, since their text has to be looked at.
async fn count_rows(
    plan: &Plan,
    place: &mut Place,
    snapshot: &mut dyn ViewSnapshot,
    most: usize,
) -> Result<AuditCount, AuditError> {
    let (mut actors, mut actions, mut event_types) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut examined, mut events, mut complete) = (0, 0, false);
    while examined < most && !complete {
        let scan = scan::scan(plan, place, snapshot, ROWS).await?;
        examined += scan.examined;
        place.last = scan.last.or(place.last);
        complete = scan.exhausted;
        for row in scan.rows {
            events += 1;
            *actors.entry(row.actor).or_insert(0) += 1;
            *actions.entry(row.action).or_insert(0) += 1;
            *event_types.entry(row.event_type).or_insert(0) += 1;
        }
    }
    Ok(AuditCount {
        events,
        complete,
        distinct_actors: actors.len() as u64,
        actors: most_first(actors),
        actions: most_first(actions),
        event_types: most_first(event_types),
        head: snapshot.head(),
    })
}

fn add<T: Eq + Hash>(tally: &mut Tally<T>, value: T, events: u64, at: u64) {
    let counted = tally.entry(value).or_default();
    counted.0 += events;
    counted.1 = counted.1.max(at);
}

/// Counts with places, most first; those of equal count by their last event.
fn sorted<T>(tally: Tally<T>) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> = tally.into_values().collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.truncate(LISTED);
    sorted
}

fn most_first<T: Ord>(counts: BTreeMap<T, u64>) -> Vec<Facet<T>> {
    let mut facets: Vec<Facet<T>> = counts.into_iter().map(|(value, events)| Facet { value, events }).collect();
    facets.sort_by_key(|facet| std::cmp::Reverse(facet.events));
    facets.truncate(LISTED);
    facets
}
