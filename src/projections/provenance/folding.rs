//! [`Batch`]: events to be written to the tables of provenance; [`GraphFold`]: the fold that fills empty tables in large batches.
//!
//! The rows depend on the log alone, not on where batches begin and end.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::role::Role;
use super::tables::{DELETES, LAST, MAKES, NAMES, READS, USES, VERSIONS};
use super::{ACCESS_LOG, EXPORTED, VIEWED, causation_name};
use crate::events::{DecodeError, Known, Ref, Stored, Types};
use crate::projections::dictionary::{BatchNames, Key, NumberCache, Numbering};
use crate::projections::{Fold, KeyFilter, ProjectionError};
use crate::store::{Cell, OnConflict, Row, StoreError, Transaction};

/// The approximate memory of an event, and of something that it used, until they are written.
const EVENT_BYTES: usize = 300;
const USE_BYTES: usize = 100;

/// How many sources of one event are kept; the payload has them all.
pub(super) const MAX_SOURCES: usize = 1_024;

/// One event, with the place of its aggregate in the names of the batch.
struct Entry {
    position: u64,
    thing: usize,
    sequence: u64,
    command: Uuid,
    deletes: bool,
    /// The end of its uses in the batch.
    uses: usize,
}

/// Something that an event used.
struct Use {
    thing: usize,
    role: Role,
    version: UsedVersion,
}

/// Which version was used.
enum UsedVersion {
    /// The one with this sequence.
    At(u64),
    /// The last one before the first event of the command.
    BeforeCommand,
    /// The last one up to this position.
    UpTo(u64),
}

/// Events to be written to the tables.
#[derive(Default)]
pub(super) struct Batch {
    names: BatchNames,
    entries: Vec<Entry>,
    uses: Vec<Use>,
}

impl Batch {
    /// Adds an event.
    pub(super) fn add(&mut self, types: &Types, stored: &Stored) -> Result<(), ProjectionError> {
        let decoded = self.decode(types, stored);
        decoded.map_err(|source| ProjectionError::Decode { position: stored.position, source })
    }

    fn decode(&mut self, types: &Types, stored: &Stored) -> Result<(), DecodeError> {
        let known = types.of(stored)?;
        let metadata = stored.metadata()?;
        let deletes = known.deletes_aggregate();
        // No record is made from the one before it.
        let is_record = stored.aggregate.kind() == ACCESS_LOG;
        let decided_on = metadata.decided_on.filter(|_| !is_record).unwrap_or_default();
        for (versions, role) in [(decided_on.wrote, Role::DecidedOn), (decided_on.read, Role::Read)] {
            // An aggregate that began with the command had no version.
            let used = versions.into_iter().filter(|used| role == Role::Read || used.sequence > 0);
            used.for_each(|used| self.used(used.aggregate.as_str(), role, UsedVersion::At(used.sequence)));
        }
        if let Some(cause) = metadata.causation.as_deref().and_then(causation_name) {
            self.used(&cause, Role::Causation, UsedVersion::At(0));
        }
        // A delete event makes no version, so it has no sources.
        let sources = if deletes { Vec::new() } else { known.sources(stored)? };
        for (source, is_target) in sources.into_iter().take(MAX_SOURCES) {
            let role = if is_target { Role::Source } else { Role::SourceInPayload };
            self.used(source.as_str(), role, UsedVersion::BeforeCommand);
        }
        match known.declaration.event_type {
            EXPORTED => self.read(known, stored, Role::Exported)?,
            VIEWED => self.read(known, stored, Role::Viewed)?,
            _ => {}
        }
        self.entries.push(Entry {
            position: stored.position,
            thing: self.names.place(stored.aggregate.as_str()),
            sequence: stored.sequence,
            command: stored.command_id,
            deletes,
            uses: self.uses.len(),
        });
        Ok(())
    }

    fn used(&mut self, name: &str, role: Role, version: UsedVersion) {
        self.uses.push(Use { thing: self.names.place(name), role, version });
    }

    /// Adds the things that a read or an export was filtered by: an export as of its head, another read as of its record. A read of
    /// everything names none.
    fn read(&mut self, known: &Known, stored: &Stored, role: Role) -> Result<(), DecodeError> {
        let facts = known.describe(stored)?.facts;
        let fact = |name: &str| facts.iter().find(|(field, _)| *field == name).map(|(_, value)| value);
        let texts = |value: Option<&'_ Value>| -> Vec<Ref> {
            let texts = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            texts.filter_map(|text| text.parse().ok()).collect()
        };
        let filter = |name: &str| fact("asked").and_then(|asked| asked.get(name));
        let mut things = [texts(filter("target")), texts(filter("aggregate"))].concat();
        if filter("key").is_some() {
            // A document: the record names its view, and the thing that the key is of.
            things.extend(texts(fact("of")).into_iter().skip(1));
        }
        things.sort_unstable();
        things.dedup();
        let head = fact("head").and_then(Value::as_u64).unwrap_or(stored.position);
        let until =
            filter("until").and_then(Value::as_array).and_then(|until| until.first()).and_then(Value::as_str);
        let version = || match until.map(str::parse::<u64>) {
            None => UsedVersion::UpTo(head),
            Some(Ok(until)) => UsedVersion::UpTo(head.min(until.saturating_sub(1))),
            // As of a time: the tables have no times, so no exact version is known.
            Some(Err(_)) => UsedVersion::At(0),
        };
        for thing in things.into_iter().take(MAX_SOURCES) {
            self.used(thing.as_str(), role, version());
        }
        Ok(())
    }

    /// Writes all events.
    pub(super) async fn write(
        self,
        cache: &mut NumberCache,
        transaction: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let Self { names, entries, uses } = self;
        let Some(end) = entries.last().map(|entry| (entry.command, entry.position)) else { return Ok(()) };
        let row = |name: &str, key: &Key, id: i64, _: &NumberCache| {
            vec![id.into(), Cell::Bytes(key.to_vec()), name.into()]
        };
        let numbers = names.numbers(Numbering { table: &NAMES, kind: None, row: &row }, cache, transaction).await?;
        let mut last = last_command(transaction).await?;
        let mut latest = Latest::load(&uses, &numbers, transaction).await?;
        let (mut versions, mut used, mut reads) = (Vec::with_capacity(entries.len()), Vec::new(), Vec::new());
        let mut uses = uses.into_iter();
        let mut taken = 0;
        for entry in entries {
            let first = match last {
                Some((command, first)) if command == entry.command => first,
                _ => entry.position,
            };
            last = Some((entry.command, first));
            for Use { thing, role, version } in uses.by_ref().take(entry.uses - taken) {
                if role.is_of_command() && first != entry.position {
                    continue;
                }
                let thing = numbers[thing];
                let sequence = match version {
                    UsedVersion::At(sequence) => sequence,
                    UsedVersion::BeforeCommand => latest.before(thing, first, transaction).await?,
                    UsedVersion::UpTo(head) => latest.before(thing, head.saturating_add(1), transaction).await?,
                };
                let rows = if role.is_of_read() { &mut reads } else { &mut used };
                rows.push((thing, entry.position, role.number(), sequence));
            }
            taken = entry.uses;
            let thing = numbers[entry.thing];
            latest.note(thing, entry.position, entry.sequence);
            let makes = if entry.deletes { DELETES } else { MAKES };
            versions.push((thing, entry.sequence, entry.position, first, makes));
        }
        // Sorted by key, so that a batch touches each page of the index once.
        versions.sort_unstable();
        used.sort_unstable();
        reads.sort_unstable();
        let versions = versions.into_iter().map(|(thing, sequence, position, first, makes)| {
            vec![thing.into(), sequence.into(), position.into(), first.into(), makes.into()]
        });
        transaction.insert_rows(&VERSIONS, versions.collect(), OnConflict::Fail).await?;
        for (table, rows) in [(&USES, used), (&READS, reads)] {
            let rows = rows.into_iter().map(|(thing, position, role, sequence)| {
                vec![thing.into(), position.into(), role.into(), sequence.into()]
            });
            transaction.insert_rows(table, rows.collect(), OnConflict::Fail).await?;
        }
        let first = last.map_or(end.1, |(_, first)| first);
        let row = vec![1_i64.into(), Cell::Bytes(end.0.as_bytes().to_vec()), first.into()];
        transaction.insert_rows(&LAST, vec![row], OnConflict::Replace).await
    }

    fn bytes(&self) -> usize {
        self.entries.len() * EVENT_BYTES + self.uses.len() * USE_BYTES
    }
}

/// The command of the last event, and the position of its first event.
async fn last_command(transaction: &mut dyn Transaction) -> Result<Option<(Uuid, u64)>, StoreError> {
    let key: Vec<Row> = vec![vec![1_i64.into()]];
    let found = transaction.select_by_keys(&LAST, &["id"], &["command", "first"], key).await?;
    Ok(found.into_iter().next().flatten().and_then(|row| match row.as_slice() {
        [Cell::Bytes(command), first] => Some((Uuid::from_slice(command).ok()?, number(first)?)),
        _ => None,
    }))
}

fn number(cell: &Cell) -> Option<u64> {
    u64::try_from(cell.integer()?).ok()
}

/// The versions of those things whose version at some position is wanted: the last one before the batch, and those in it.
struct Latest(HashMap<i64, Vec<(u64, u64)>>);

impl Latest {
    async fn load(uses: &[Use], numbers: &[i64], transaction: &mut dyn Transaction) -> Result<Self, StoreError> {
        let wanted = uses.iter().filter(|used| !matches!(used.version, UsedVersion::At(_)));
        let mut things: Vec<i64> = wanted.map(|used| numbers[used.thing]).collect();
        things.sort_unstable();
        things.dedup();
        if things.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let keys = things.iter().map(|thing| vec![(*thing).into()]).collect();
        let found = transaction.select_by_keys(&VERSIONS, &["thing"], &["position", "sequence"], keys).await?;
        let version = |row: Row| Some((number(row.first()?)?, number(row.get(1)?)?));
        let versions = found.into_iter().map(|row| row.and_then(version).into_iter().collect());
        Ok(Self(things.into_iter().zip(versions).collect()))
    }

    /// The sequence of the last version of a thing before a position; 0 if it had none.
    async fn before(
        &self,
        thing: i64,
        position: u64,
        transaction: &mut dyn Transaction,
    ) -> Result<u64, StoreError> {
        let Some(versions) = self.0.get(&thing).filter(|versions| !versions.is_empty()) else { return Ok(0) };
        if let Some((_, sequence)) = versions.iter().rev().find(|(at, _)| *at < position) {
            return Ok(*sequence);
        }
        // A read may be of the past, and an export of a head that is far behind its record.
        let sql = format!(
            "SELECT sequence FROM {} WHERE thing = $1 AND position < $2 ORDER BY sequence DESC LIMIT 1",
            transaction.table(VERSIONS.name)
        );
        let found = transaction.query(&sql, vec![thing.into(), position.into()]).await?;
        Ok(found.first().and_then(|row| number(row.first()?)).unwrap_or(0))
    }

    fn note(&mut self, thing: i64, position: u64, sequence: u64) {
        if let Some(versions) = self.0.get_mut(&thing) {
            versions.push((position, sequence));
        }
    }
}

/// Fills empty tables.
pub(super) struct GraphFold {
    types: Arc<Types>,
    cache: NumberCache,
    batch: Batch,
    position: u64,
}

impl GraphFold {
    pub(super) fn new(types: Arc<Types>) -> Self {
        Self { types, cache: NumberCache::of_empty_table(), batch: Batch::default(), position: 0 }
    }
}

#[async_trait]
impl Fold for GraphFold {
    fn gather(&mut self, events: &[Stored], _: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            self.position = stored.position;
            self.batch.add(&self.types, stored)?;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(std::mem::take(&mut self.batch).write(&mut self.cache, transaction).await?)
    }
}
