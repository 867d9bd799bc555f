//! The names of the metrics: [`dictionary`] numbers each kind of names by itself, and the table also stores the names.

use std::collections::HashMap;

use super::entry::{Entry, ROOT};
use crate::events::{DecodeError, Stored, Topic, Types};
use crate::projections::ProjectionError;
use crate::projections::dictionary::{self, BatchNames, Key, NumberCache, Numbering};
use crate::store::{Cell, Column, Row, StoreError, Table, Transaction, ViewSnapshot};

/// Each name with its number.
pub(super) const NAMES: Table = Table::new(
    "names",
    &[
        Column::integer("kind"),
        Column::integer("id"),
        Column::bytes("digest"),
        Column::text("name"),
        Column::integer("above").nullable(),
    ],
    &["kind", "id"],
);

/// The kind of a name: each has its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Type,
    Actor,
    Target,
    Topic,
}

const KINDS: [Kind; 4] = [Kind::Type, Kind::Actor, Kind::Target, Kind::Topic];

/// The number of the topic one level up. Ancestors come before the topics below them.
fn above(topic: &str, cache: &NumberCache) -> Cell {
    let above = topic.rsplit_once('/').and_then(|(above, _)| cache.number(&key(Kind::Topic, above)));
    Cell::Integer(above.unwrap_or(ROOT.into()))
}

fn key(kind: Kind, name: &str) -> Key {
    dictionary::key(Some(kind as u8), name)
}

/// The numbers of a batch's names of one kind, by place.
async fn numbers(
    kind: Kind,
    names: BatchNames,
    cache: &mut NumberCache,
    transaction: &mut dyn Transaction,
) -> Result<Vec<u32>, ProjectionError> {
    let row = |name: &str, key: &Key, id: i64, cache: &NumberCache| -> Row {
        let above = if kind == Kind::Topic { above(name, cache) } else { Cell::Null };
        vec![(kind as u64).into(), id.into(), Cell::Bytes(key.to_vec()), name.into(), above]
    };
    let numbering = Numbering { table: &NAMES, kind: Some(kind as u8), row: &row };
    let numbers = names.numbers(numbering, cache, transaction).await?;
    let number = |number| u32::try_from(number).map_err(|error| ProjectionError::Other(Box::new(error)));
    numbers.into_iter().map(number).collect()
}

/// Entries to be written, with places of names in the batch instead of numbers.
#[derive(Default)]
pub(super) struct Gathered {
    names: [BatchNames; 4],
    entries: Vec<Entry>,
}

impl Gathered {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an event.
    pub fn gather(&mut self, types: &Types, stored: &Stored) -> Result<(), ProjectionError> {
        let entry = placed(types, stored, &mut self.names);
        self.entries.push(entry.map_err(|source| ProjectionError::Decode { position: stored.position, source })?);
        Ok(())
    }

    /// The entries, with numbers. New names are written.
    pub async fn numbered(
        mut self,
        cache: &mut NumberCache,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<Entry>, ProjectionError> {
        let mut numbers: [Vec<u32>; 4] = Default::default();
        for ((kind, names), numbers) in KINDS.into_iter().zip(self.names).zip(&mut numbers) {
            *numbers = self::numbers(kind, names, cache, transaction).await?;
        }
        let number = |kind: Kind, place: &mut u32| *place = numbers[kind as usize][*place as usize];
        for entry in &mut self.entries {
            number(Kind::Type, &mut entry.event_type);
            number(Kind::Actor, &mut entry.actor);
            entry.targets.iter_mut().for_each(|target| number(Kind::Target, target));
            entry.topics.iter_mut().for_each(|topic| number(Kind::Topic, topic));
        }
        Ok(self.entries)
    }
}

/// The entry of an event, with the places of its names.
fn placed(types: &Types, stored: &Stored, names: &mut [BatchNames; 4]) -> Result<Entry, DecodeError> {
    let known = types.of(stored)?;
    let described = known.describe(stored)?;
    let topics = known.topics(stored, &described);
    let mut topics: Vec<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
    topics.sort_unstable();
    topics.dedup();
    // A topic with a NUL can be in no query, and Postgres cannot store it.
    topics.retain(|topic| !topic.is_empty() && !topic.contains('\0'));
    let mut place = |kind: Kind, name: &str| names[kind as usize].place(name) as u32;
    Ok(Entry {
        position: stored.position,
        at: stored.recorded_at.as_microsecond(),
        occurred: stored.occurred_at.as_microsecond(),
        event_type: place(Kind::Type, known.declaration.event_type),
        actor: place(Kind::Actor, stored.metadata()?.actor.as_str()),
        targets: described.targets.iter().map(|target| place(Kind::Target, target.as_str())).collect(),
        topics: topics.into_iter().map(|topic| place(Kind::Topic, topic)).collect(),
    })
}

/// The number of a name, if the log has it.
pub(super) async fn find(
    kind: Kind,
    name: &str,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Option<u32>, StoreError> {
    let key = key(kind, name);
    let numbers = dictionary::numbers(&NAMES, &[key], snapshot).await?;
    Ok(numbers.get(&key).and_then(|number| u32::try_from(*number).ok()))
}

/// The topics one level below this one: the first `most` in the log.
pub(super) async fn child_topics(
    topic: &Topic,
    most: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<String>, StoreError> {
    let above = match topic.as_str() {
        "" => ROOT,
        name => match find(Kind::Topic, name, snapshot).await? {
            Some(number) => number,
            None => return Ok(Vec::new()),
        },
    };
    let sql = format!("SELECT name FROM {} WHERE above = $1 ORDER BY id LIMIT $2", snapshot.table(NAMES.name));
    let rows = snapshot.query(&sql, vec![u64::from(above).into(), (most as u64).into()]).await?;
    Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
}

/// The names of these numbers.
pub(super) async fn names(
    kind: Kind,
    numbers: impl IntoIterator<Item = u32>,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<u32, String>, StoreError> {
    /// The numbers that one statement looks up.
    const AT_ONCE: usize = 512;
    let numbers: Vec<u32> = numbers.into_iter().collect();
    let mut names = HashMap::with_capacity(numbers.len());
    for some in numbers.chunks(AT_ONCE) {
        // The number of parameters is a power of two, so that a database prepares few statements.
        let asked: Vec<u32> =
            some.iter().copied().chain(std::iter::repeat(0)).take(some.len().next_power_of_two()).collect();
        let list: Vec<String> = (2..=asked.len() + 1).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT id, name FROM {} WHERE kind = $1 AND id IN ({})",
            snapshot.table(NAMES.name),
            list.join(", ")
        );
        let mut parameters: Row = vec![(kind as u64).into()];
        parameters.extend(asked.into_iter().map(|number| Cell::from(u64::from(number))));
        for row in snapshot.query(&sql, parameters).await? {
            if let [Cell::Integer(id), Cell::Text(name)] = row.as_slice() {
                names.extend(u32::try_from(*id).ok().map(|id| (id, name.clone())));
            }
        }
    }
    Ok(names)
}
