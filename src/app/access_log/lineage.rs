//! Access lineage: who read a thing before each export, from recorded reads and exports and the events that they covered.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::StreamExt;
use jiff::Timestamp;
use serde::Serialize;

use super::recorder::WINDOW;
use super::{AccessLog, ReadEvent};
use crate::aggregates::Aggregate;
use crate::app::{Annals, ReaderError};
use crate::events::{DecodeError, Event, LogPosition, Recorded, Ref, Stored};
use crate::projections::ProjectionError;
use crate::projections::audit::{AuditError, AuditFilter, AuditLog, AuditRow, RecordedFilters, next_rows};
use crate::projections::metrics::Metrics;
use crate::store::StoreError;

/// The most events that are read at a time.
const CHUNK: usize = 256;

/// A recorded export that included a thing, and who had read the thing before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportAccess {
    /// The position of the export's record, which precedes the exported data.
    pub position: u64,
    /// The time of the record.
    pub at: Timestamp,
    /// The actor that exported it.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted, if any.
    pub on_behalf_of: Option<Ref>,
    /// The exported query as text.
    pub what: String,
    /// The format.
    pub format: String,
    /// The last position of the export.
    pub head: u64,
    /// Where the data went: a host or a file. Exports of earlier versions do not say it.
    pub to: Option<Ref>,
    /// The reads before the export, oldest first.
    pub seen_by: Vec<ReadAccess>,
}

/// A recorded read that included a thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadAccess {
    /// The actor.
    pub actor: Ref,
    /// The principal on whose behalf the actor acted, if any.
    pub on_behalf_of: Option<Ref>,
    /// The query as text.
    pub what: String,
    /// Whether the query named the thing. Otherwise the thing was in the answer, or may have been: equal queries within ten
    /// minutes are one record.
    pub by_name: bool,
    /// The position of the first record.
    pub position: u64,
    /// The time of the first record.
    pub at: Timestamp,
    /// The number of records: equal queries in different ten-minute windows.
    pub records: u64,
}

/// An error when the access lineage is read.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The authoriser denied it. Nothing was read.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The audit log cannot be read.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An event cannot be decoded.
    #[error("event {position} cannot be decoded")]
    Decode {
        /// The event's position.
        position: u64,
        /// The cause.
        source: DecodeError,
    },
    /// A view fails to map an event to keys.
    #[error(transparent)]
    View(#[from] ProjectionError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A query: its projection and its filters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct AccessQuery {
    projection: String,
    asked: RecordedFilters,
}

/// An event's position and time of recording.
type First = (u64, Timestamp);

/// A recorded read or export.
struct Access {
    position: u64,
    at: Timestamp,
    actor: Ref,
    on_behalf_of: Option<Ref>,
    what: String,
    by_name: bool,
    query: AccessQuery,
    /// The format, the last position and the destination, if it was exported.
    left: Option<(String, u64, Option<Ref>)>,
}

pub(in crate::app) async fn lineage(annals: &Annals, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
    let records = ReadEvent::declarations();
    let all = records.iter().fold(annals.audit(), |query, declared| query.event(declared.event_type));
    let mut accesses = Vec::new();
    let mut stream = all.stream().fuse();
    loop {
        let rows = next_rows(&mut stream, CHUNK).await?;
        if rows.is_empty() {
            break;
        }
        for stored in events(annals, &rows).await? {
            accesses.extend(access(&stored, thing).map_err(decode(stored.position))?);
        }
    }
    let asked: BTreeSet<AccessQuery> = accesses.iter().map(|access| access.query.clone()).collect();
    let firsts = firsts(annals, thing, asked).await?;
    Ok(exports(accesses, &firsts))
}

fn decode(position: u64) -> impl Fn(DecodeError) -> LineageError {
    move |source| LineageError::Decode { position, source }
}

async fn events(annals: &Annals, rows: &[AuditRow]) -> Result<Vec<Stored>, LineageError> {
    let mut heads: Vec<LogPosition> =
        rows.iter().map(|row| LogPosition { position: row.position, event_id: row.event_id }).collect();
    heads.sort_unstable_by_key(|head| head.position);
    let positions: Vec<u64> = heads.iter().map(|head| head.position).collect();
    let events = annals.store().read_at(&positions).await?;
    // The log may have been restored to an older state since the rows were made.
    match heads.iter().find(|head| !events.iter().any(|stored| stored.head() == **head)) {
        Some(lost) => Err(StoreError::Diverged(*lost).into()),
        None => Ok(events),
    }
}

/// The read or export that this event records; none if it counts those of another record.
fn access(stored: &Stored, thing: &Ref) -> Result<Option<Access>, DecodeError> {
    let Recorded { event, position, recorded_at, metadata, .. } = Recorded::<ReadEvent>::from_stored(stored)?;
    let (what, of, asked, left) = match event {
        ReadEvent::Viewed { what, of, asked } => (what, of, asked, None),
        ReadEvent::Exported { what, of, asked, format, head, to } => (what, of, asked, Some((format, head, to))),
        ReadEvent::Repeated { .. } => return Ok(None),
    };
    let projection = of.first().map_or(String::new(), |projection| projection.id().to_owned());
    Ok(Some(Access {
        position,
        at: recorded_at,
        actor: metadata.actor,
        on_behalf_of: metadata.on_behalf_of,
        what,
        by_name: of.contains(thing),
        query: AccessQuery { projection, asked },
        left,
    }))
}

/// Finds the first event about the thing in the answer to each query: as a target or as the actor.
async fn firsts(
    annals: &Annals,
    thing: &Ref,
    queries: BTreeSet<AccessQuery>,
) -> Result<BTreeMap<AccessQuery, First>, LineageError> {
    let filtered = |query: AccessQuery| (AuditFilter::from_recorded(&query.asked, annals.types()), query);
    let queries: Vec<(AuditFilter, AccessQuery)> = queries.into_iter().map(filtered).collect();
    let mut firsts: BTreeMap<AccessQuery, First> = BTreeMap::new();
    for about in [annals.audit().target(thing), annals.audit().actor(thing)] {
        let mut open: Vec<&(AuditFilter, AccessQuery)> = queries.iter().collect();
        let mut stream = about.stream().fuse();
        while !open.is_empty() {
            let mut rows = next_rows(&mut stream, CHUNK).await?;
            if rows.is_empty() {
                break;
            }
            // Records of reads are not events about the thing.
            rows.retain(|row| row.aggregate.kind() != AccessLog::TYPE);
            let stored: HashMap<u64, Stored> =
                events(annals, &rows).await?.into_iter().map(|event| (event.position, event)).collect();
            for row in rows {
                let Some(stored) = stored.get(&row.position) else { continue };
                let mut still = Vec::new();
                for entry @ (filter, query) in open {
                    if query.has(filter, &row, stored, annals)? {
                        let first = (row.position, row.recorded_at);
                        firsts.entry(query.clone()).and_modify(|other| *other = first.min(*other)).or_insert(first);
                    } else {
                        still.push(entry);
                    }
                }
                open = still;
            }
        }
    }
    Ok(firsts)
}

impl AccessQuery {
    /// Whether the answer includes this event.
    fn has(
        &self,
        filter: &AuditFilter,
        row: &AuditRow,
        stored: &Stored,
        annals: &Annals,
    ) -> Result<bool, LineageError> {
        if [AuditLog::NAME, Metrics::NAME].contains(&self.projection.as_str()) {
            return Ok(filter.matches(row));
        }
        let key = self.asked.get("key").and_then(|keys| keys.first());
        match annals.reading(&self.projection) {
            Ok(view) => Ok(view.contains_event(stored, key.map(String::as_str))?),
            // The content of a removed view is unknown.
            Err(_) => Ok(true),
        }
    }
}

/// Returns the exports that included the thing, each with the reads before it.
fn exports(accesses: Vec<Access>, firsts: &BTreeMap<AccessQuery, First>) -> Vec<ExportAccess> {
    let mut exports = Vec::new();
    let mut seen: Vec<(ReadAccess, u64)> = Vec::new();
    let mut places: HashMap<(Ref, Option<Ref>, String), usize> = HashMap::new();
    for access in accesses {
        let first = firsts.get(&access.query).copied();
        let Access { position, at, actor, on_behalf_of, what, by_name, left, .. } = access;
        if let Some((format, head, to)) = &left
            && first.is_some_and(|(first, _)| first <= *head)
        {
            let before = |(read, first): &(ReadAccess, u64)| (*first < position).then(|| read.clone());
            exports.push(ExportAccess {
                position,
                at,
                actor: actor.clone(),
                on_behalf_of: on_behalf_of.clone(),
                what: what.clone(),
                format: format.clone(),
                head: *head,
                to: to.clone(),
                seen_by: seen.iter().filter_map(before).collect(),
            });
        }
        // An equal query within the same window is the same record, and may have returned more.
        let until = Timestamp::from_second(at.as_second() - at.as_second().rem_euclid(WINDOW) + WINDOW);
        let was_there = |(first, recorded): (u64, Timestamp)| match &left {
            Some((_, head, _)) => first <= *head,
            None => first < position || until.is_ok_and(|until| recorded < until),
        };
        if !by_name && !first.is_some_and(was_there) {
            continue;
        }
        let key = (actor.clone(), on_behalf_of.clone(), what.clone());
        let place = *places.entry(key).or_insert(seen.len());
        match seen.get_mut(place) {
            Some((read, _)) => read.records += 1,
            None => {
                let from = if by_name { position } else { first.map_or(position, |(first, _)| first) };
                seen.push((ReadAccess { actor, on_behalf_of, what, by_name, position, at, records: 1 }, from));
            }
        }
    }
    exports
}
