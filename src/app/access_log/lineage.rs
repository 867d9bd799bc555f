//! Who saw a thing before it left: recorded reads and exports, and the events about the thing that they took in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::TryStreamExt;
use jiff::Timestamp;
use serde::Serialize;

use super::recorder::WINDOW;
use super::{AccessLog, ReadEvent};
use crate::aggregates::Aggregate;
use crate::app::{Annals, ReaderError};
use crate::events::{DecodeError, Event, LogPosition, Recorded, Ref, Stored};
use crate::projections::ProjectionError;
use crate::projections::audit::{AskedFor, AuditError, AuditLog, AuditRow, lets_through};
use crate::projections::metrics::Metrics;
use crate::store::StoreError;

/// How many events are read at a time.
const CHUNK: usize = 256;

/// One export that a thing was in, and who had seen the thing by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportAccess {
    /// The position of the export's record: what comes before it in the log came before anything left.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// Who exported it.
    pub actor: Ref,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<Ref>,
    /// What was exported, in words.
    pub what: String,
    /// In which format.
    pub format: String,
    /// The position up to which the log was exported.
    pub head: u64,
    /// Who had read it before, the first first.
    pub seen_by: Vec<ReadAccess>,
}

/// Somebody read what a thing was in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadAccess {
    /// Who.
    pub actor: Ref,
    /// For whom, where that is somebody else.
    pub on_behalf_of: Option<Ref>,
    /// What they read, in words.
    pub what: String,
    /// Whether they asked for the thing itself. Else it was in the answer, or may have been: the same question within ten
    /// minutes is one record.
    pub by_name: bool,
    /// The position of the first record.
    pub position: u64,
    /// When that was.
    pub at: Timestamp,
    /// How many records there are: the same question again, in other ten minutes.
    pub records: u64,
}

/// Why it is not known who saw something.
#[derive(Debug, thiserror::Error)]
pub enum LineageError {
    /// The authoriser says no. Nothing was read.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The audit log does not answer.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// An event cannot be read.
    #[error("event {position} cannot be read")]
    Decode {
        /// Its position.
        position: u64,
        /// Why.
        source: DecodeError,
    },
    /// A view cannot say what it makes of an event.
    #[error(transparent)]
    View(#[from] ProjectionError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was asked, of which projection; and the first event about the thing that was in the answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asking {
    projection: String,
    asked: AskedFor,
}

/// An event's place and when it was recorded.
type First = (u64, Timestamp);

/// A record of somebody who reads.
struct Access {
    position: u64,
    at: Timestamp,
    actor: Ref,
    on_behalf_of: Option<Ref>,
    what: String,
    by_name: bool,
    asking: Asking,
    /// Format and position, if it was exported.
    left: Option<(String, u64)>,
}

pub(in crate::app) async fn lineage(annals: &Annals, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
    let records = ReadEvent::declarations();
    let all = records.iter().fold(annals.audit(), |query, declared| query.event(declared.event_type));
    let mut accesses = Vec::new();
    let mut chunks = all.stream().try_chunks(CHUNK);
    while let Some(rows) = chunks.try_next().await.map_err(|error| error.1)? {
        for stored in events(annals, &rows).await? {
            accesses.push(access(&stored, thing).map_err(decode(stored.position))?);
        }
    }
    let asked: BTreeSet<Asking> = accesses.iter().map(|access| access.asking.clone()).collect();
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
    // The log may have been put back to an older state since the rows were made.
    match heads.iter().find(|head| !events.iter().any(|stored| stored.head() == **head)) {
        Some(lost) => Err(StoreError::Diverged(*lost).into()),
        None => Ok(events),
    }
}

fn access(stored: &Stored, thing: &Ref) -> Result<Access, DecodeError> {
    let Recorded { event, position, recorded_at, metadata, .. } = Recorded::<ReadEvent>::from_stored(stored)?;
    let (what, of, asked, left) = match event {
        ReadEvent::Viewed { what, of, asked } => (what, of, asked, None),
        ReadEvent::Exported { what, of, asked, format, head } => (what, of, asked, Some((format, head))),
    };
    let projection = of.first().map_or(String::new(), |projection| projection.id().to_owned());
    Ok(Access {
        position,
        at: recorded_at,
        actor: metadata.actor,
        on_behalf_of: metadata.on_behalf_of,
        what,
        by_name: of.contains(thing),
        asking: Asking { projection, asked },
        left,
    })
}

/// The first event about the thing that each of these has in its answer: what was done to it, or what it did.
async fn firsts(
    annals: &Annals,
    thing: &Ref,
    askings: BTreeSet<Asking>,
) -> Result<BTreeMap<Asking, First>, LineageError> {
    let mut firsts: BTreeMap<Asking, First> = BTreeMap::new();
    for about in [annals.audit().target(thing), annals.audit().actor(thing)] {
        let mut open = askings.clone();
        let mut chunks = about.stream().try_chunks(CHUNK);
        while !open.is_empty()
            && let Some(mut rows) = chunks.try_next().await.map_err(|error| error.1)?
        {
            // That somebody read of the thing is not about the thing.
            rows.retain(|row| row.aggregate.kind() != AccessLog::TYPE);
            let stored: HashMap<u64, Stored> =
                events(annals, &rows).await?.into_iter().map(|event| (event.position, event)).collect();
            for row in rows {
                let Some(stored) = stored.get(&row.position) else { continue };
                let mut still = BTreeSet::new();
                for asking in open {
                    if asking.has(&row, stored, annals)? {
                        let first = (row.position, row.recorded_at);
                        firsts.entry(asking).and_modify(|other| *other = first.min(*other)).or_insert(first);
                    } else {
                        still.insert(asking);
                    }
                }
                open = still;
            }
        }
    }
    Ok(firsts)
}

impl Asking {
    /// Whether the answer has this event in it.
    fn has(&self, row: &AuditRow, stored: &Stored, annals: &Annals) -> Result<bool, LineageError> {
        if [AuditLog::NAME, Metrics::NAME].contains(&self.projection.as_str()) {
            return Ok(lets_through(&self.asked, row, annals.types()));
        }
        let key = self.asked.get("key").and_then(|keys| keys.first());
        match annals.reading(&self.projection) {
            Ok(view) => Ok(view.takes_in(stored, key.map(String::as_str))?),
            // What a view that is gone held, nobody knows any more.
            Err(_) => Ok(true),
        }
    }
}

/// The exports that the thing was in, each with those who had read of it before.
fn exports(accesses: Vec<Access>, firsts: &BTreeMap<Asking, First>) -> Vec<ExportAccess> {
    let mut exports = Vec::new();
    let mut seen: Vec<(ReadAccess, u64)> = Vec::new();
    let mut places: HashMap<(Ref, Option<Ref>, String), usize> = HashMap::new();
    for access in accesses {
        let first = firsts.get(&access.asking).copied();
        let Access { position, at, actor, on_behalf_of, what, by_name, left, .. } = access;
        if let Some((format, head)) = &left
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
                seen_by: seen.iter().filter_map(before).collect(),
            });
        }
        // The same question may have been asked again, and been answered with more, for as long as it was one record.
        let until = Timestamp::from_second(at.as_second() - at.as_second().rem_euclid(WINDOW) + WINDOW);
        let was_there = |(first, recorded): (u64, Timestamp)| match &left {
            Some((_, head)) => first <= *head,
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
