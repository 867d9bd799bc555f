//! [`AuditCount`]: the number of events that a query selects, by actor, action and event type.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::plan::{QueryPlan, ReadProgress};
use super::snapshots::Snapshots;
use super::sql::{SCALE, Sql};
use super::{AuditError, Detail, scan};
use crate::events::{Action, LogPosition, Ref};
use crate::store::{Cell, StoreError};

/// The events that a count examines: by default, and at most.
const DEFAULT_EXAMINED: u64 = 10_000;
const MAX_EXAMINED: u64 = 1_000_000;

/// The most rows in memory at a time.
const ROWS: usize = 1_000;

/// The size of the events at which a count by text ends, in bytes.
const MAX_READ: usize = (256 << 20) / SCALE;

/// The time after which a count by text ends: an answer over HTTP may take a minute.
pub(super) const MAX_TIME: Duration = Duration::from_secs(20);

/// The most values listed for one facet.
const MAX_LISTED: usize = 100;

/// The number of events that a query selects, by actor, action and event type.
///
/// The work is bounded: a count examines 10,000 events, or the query's limit (at most 1,000,000), in the query's order. If
/// there are more, [`complete`](Self::complete) is false and every number is a lower bound. Examining 10,000 events takes
/// tens of milliseconds; with a text filter longer, because each event is then read from the log, at most 256 MB of them, and
/// for 20 seconds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct AuditCount {
    /// The number of matching events.
    pub events: u64,
    /// Whether all events were examined. If not, there may be more.
    pub complete: bool,
    /// The actors, most events first: at most 100.
    pub actors: Vec<Facet<Ref>>,
    /// The number of different actors.
    pub distinct_actors: u64,
    /// The actions, most events first.
    pub actions: Vec<Facet<Action>>,
    /// The event types, most events first: at most 100.
    pub event_types: Vec<Facet<String>>,
    /// The head of the log that the count covers.
    pub head: LogPosition,
    /// The right that it was answered with. The numbers are the same with both.
    pub detail: Detail,
}

/// A value and the number of events that have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Facet<T> {
    /// The value.
    pub value: T,
    /// The number of events.
    pub events: u64,
}

/// For each value: its number of events, and the last position of one.
type Tally<T> = HashMap<T, (u64, u64)>;

pub(super) async fn count(
    plan: &QueryPlan,
    progress: &mut ReadProgress,
    snapshots: Snapshots<'_>,
    within: Duration,
) -> Result<AuditCount, AuditError> {
    let most = usize::try_from(plan.limit.unwrap_or(DEFAULT_EXAMINED).min(MAX_EXAMINED)).unwrap_or(usize::MAX);
    match plan.filter.texts.is_empty() {
        true => count_numbers(plan, progress, snapshots, most).await,
        false => count_rows(plan, progress, snapshots, most, within).await,
    }
}

/// Counts in the audit log's tables. The name of each value is read from one of its events in the log.
async fn count_numbers(
    plan: &QueryPlan,
    progress: &mut ReadProgress,
    mut snapshots: Snapshots<'_>,
    most: usize,
) -> Result<AuditCount, AuditError> {
    let mut lent = snapshots.lend().await?;
    let snapshot = &mut *lent;
    let head = snapshot.head();
    let window = plan.window(progress, head.position).await?;
    let filter = match window.is_empty() {
        true => None,
        false => plan.filter.resolved(snapshot).await?,
    };
    let mut groups = Vec::new();
    if let Some(filter) = filter {
        let driver = scan::driver(&filter, &window, snapshot).await?;
        let (sql, parameters) = Sql::new(&filter, &window, snapshot).count(driver, most);
        groups = snapshot.query(&sql, parameters).await?;
    }
    drop(lent);
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
    let places: Vec<u64> = places.into_iter().collect::<BTreeSet<u64>>().into_iter().collect();
    let (mut named, mut rest) = (HashMap::new(), &places[..]);
    while !rest.is_empty() {
        let (events, left) = plan.reading.events(rest, head).await?;
        rest = left;
        for stored in events {
            let known = plan.reading.types().of(&stored);
            let named_by = known.and_then(|known| Ok((stored.metadata()?.actor, known.declaration)));
            let named_by = named_by
                .map_err(|source| AuditError::from_decode(stored.position, source).with_detail(progress.detail))?;
            named.insert(stored.position, named_by);
        }
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
        detail: progress.detail,
    })
}

fn facets<T>(
    tally: &[(u64, u64)],
    value: impl Fn(&u64) -> Result<T, AuditError>,
) -> Result<Vec<Facet<T>>, AuditError> {
    tally.iter().map(|(events, at)| Ok(Facet { value: value(at)?, events: *events })).collect()
}

/// Counts rows, for a filter by text.
async fn count_rows(
    plan: &QueryPlan,
    progress: &mut ReadProgress,
    mut snapshots: Snapshots<'_>,
    most: usize,
    within: Duration,
) -> Result<AuditCount, AuditError> {
    let (mut actors, mut actions, mut event_types) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut examined, mut read, mut events, mut complete) = (0, 0, 0, false);
    let (mut head, started) = (LogPosition::default(), Instant::now());
    while examined < most && read < MAX_READ && started.elapsed() < within && !complete {
        let candidates = scan::find(plan, progress, &mut *snapshots.lend().await?, ROWS).await?;
        if examined == 0 {
            // A later snapshot may cover more.
            head = candidates.head;
            progress.newest = Some(head.position);
        }
        let scan = candidates.read(plan, ROWS).await?;
        examined += scan.examined;
        read += scan.read;
        progress.last = scan.last.or(progress.last);
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
        head,
        detail: progress.detail,
    })
}

fn add<T: Eq + Hash>(tally: &mut Tally<T>, value: T, events: u64, at: u64) {
    let counted = tally.entry(value).or_default();
    counted.0 += events;
    counted.1 = counted.1.max(at);
}

/// The counts with their last positions, most events first, then by last position.
fn sorted<T>(tally: Tally<T>) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> = tally.into_values().collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.truncate(MAX_LISTED);
    sorted
}

fn most_first<T: Ord>(counts: BTreeMap<T, u64>) -> Vec<Facet<T>> {
    let mut facets: Vec<Facet<T>> = counts.into_iter().map(|(value, events)| Facet { value, events }).collect();
    facets.sort_by_key(|facet| std::cmp::Reverse(facet.events));
    facets.truncate(MAX_LISTED);
    facets
}
