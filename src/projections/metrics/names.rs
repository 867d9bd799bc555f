//! The numbers of names: a name is kept once, all else refers to it by its number.
//!
//! Numbers count from 1, for each kind of names, in the order in which names first come in the log: the same log gives the
//! same numbers, in batches of any size.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::entry::{Entry, ROOT};
use crate::events::{DecodeError, Stored, Topic, Types};
use crate::projections::ProjectionError;
use crate::store::{Cell, Column, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot};

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

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Type,
    Actor,
    Target,
    Topic,
}

const KINDS: [Kind; 4] = [Kind::Type, Kind::Actor, Kind::Target, Kind::Topic];

/// What a name is found by: it may be longer than an index takes.
fn digest(kind: Kind, name: &str) -> Cell {
    let digest = Sha256::new().chain_update([kind as u8]).chain_update(name).finalize();
    Cell::Bytes(digest[..16].to_vec())
}

/// The names of one kind in a batch, in the order in which they come.
#[derive(Default)]
struct Names {
    places: HashMap<String, u32>,
    in_order: Vec<String>,
}

impl Names {
    fn place(&mut self, name: &str) -> u32 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.in_order.len() as u32;
        self.places.insert(name.to_owned(), place);
        self.in_order.push(name.to_owned());
        place
    }

    /// The numbers, by place; what is new is written.
    async fn numbers(
        self,
        kind: Kind,
        known: &mut Known,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<u32>, ProjectionError> {
        let numbers = &mut known.numbers[kind as usize];
        let mut unknown: Vec<(&String, Cell)> = Vec::new();
        for name in &self.in_order {
            if !numbers.contains_key(name) {
                unknown.push((name, digest(kind, name)));
            }
        }
        if !known.all && !unknown.is_empty() {
            let digests = unknown.iter().map(|(_, digest)| vec![digest.clone()]).collect();
            let found = transaction.select_by_keys(&NAMES, &["digest"], &["id"], digests).await?;
            let mut found = found.into_iter();
            unknown.retain(|(name, _)| {
                let id = found.next().flatten().and_then(|row| u32::try_from(row.first()?.integer()?).ok());
                id.map(|id| numbers.insert((*name).clone(), id)).is_none()
            });
        }
        if !unknown.is_empty() {
            let last = format!("SELECT max(id) FROM {} WHERE kind = $1", transaction.table(NAMES.name));
            let last = transaction.query(&last, vec![(kind as u64).into()]).await?;
            let last = last.first().and_then(|row| row.first()?.integer()).unwrap_or(0);
            let mut new: Vec<Row> = Vec::with_capacity(unknown.len());
            for ((name, digest), id) in unknown.into_iter().zip(last + 1..) {
                let number = u32::try_from(id).map_err(|error| ProjectionError::Other(Box::new(error)))?;
                let above = (kind == Kind::Topic).then(|| above(name, numbers));
                let above = above.map_or(Cell::Null, Cell::from);
                new.push(vec![(kind as u64).into(), id.into(), digest, name.as_str().into(), above]);
                numbers.insert(name.clone(), number);
            }
            transaction.insert_rows(&NAMES, new, OnConflict::Fail).await?;
        }
        Ok(self.in_order.iter().map(|name| numbers.get(name).copied().unwrap_or_default()).collect())
    }
}

/// The number of the topic one step above, which comes before all that lie below it.
fn above(topic: &str, numbers: &HashMap<String, u32>) -> u64 {
    let above = topic.rsplit_once('/').and_then(|(above, _)| numbers.get(above));
    above.map_or(ROOT, |number| *number).into()
}

/// The numbers that need not be looked up.
#[derive(Default)]
pub(super) struct Known {
    numbers: [HashMap<String, u32>; 4],
    /// Whether there are no others.
    all: bool,
}

impl Known {
    /// How many names are kept, at most.
    const MOST: usize = if cfg!(all(test, debug_assertions)) { 50 } else { 500_000 };

    /// Of tables in which there is nothing yet.
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Forgets what takes too much memory.
    fn forget(&mut self) {
        if self.numbers.iter().map(HashMap::len).sum::<usize>() > Self::MOST {
            *self = Self::default();
        }
    }
}

/// Entries with the places of their names instead of numbers.
#[derive(Default)]
pub(super) struct Gathered {
    names: [Names; 4],
    entries: Vec<Entry>,
}

impl Gathered {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes in an event.
    pub fn gather(&mut self, types: &Types, stored: &Stored) -> Result<(), ProjectionError> {
        let entry = placed(types, stored, &mut self.names);
        self.entries.push(entry.map_err(|source| ProjectionError::Decode { position: stored.position, source })?);
        Ok(())
    }

    /// The entries, with numbers.
    pub async fn numbered(
        mut self,
        known: &mut Known,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<Entry>, ProjectionError> {
        let mut numbers: [Vec<u32>; 4] = Default::default();
        for ((kind, names), numbers) in KINDS.into_iter().zip(self.names).zip(&mut numbers) {
            *numbers = names.numbers(kind, known, transaction).await?;
        }
        known.forget();
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
fn placed(types: &Types, stored: &Stored, names: &mut [Names; 4]) -> Result<Entry, DecodeError> {
    let known = types.of(stored)?;
    let described = known.describe(stored)?;
    let topics = known.topics(stored, &described);
    let mut topics: Vec<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
    topics.sort_unstable();
    topics.dedup();
    // Nobody can ask for a topic with a NUL, and Postgres keeps none.
    topics.retain(|topic| !topic.is_empty() && !topic.contains('\0'));
    let mut place = |kind: Kind, name: &str| names[kind as usize].place(name);
    Ok(Entry {
        position: stored.position,
        at: stored.recorded_at.as_microsecond(),
        event_type: place(Kind::Type, known.declaration.event_type),
        actor: place(Kind::Actor, stored.metadata()?.actor.as_str()),
        targets: described.targets.iter().map(|target| place(Kind::Target, target.as_str())).collect(),
        topics: topics.into_iter().map(|topic| place(Kind::Topic, topic)).collect(),
    })
}

/// The number of this name, if the log has it.
pub(super) async fn find(
    kind: Kind,
    name: &str,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Option<u32>, StoreError> {
    let sql = format!("SELECT id FROM {} WHERE digest = $1", snapshot.table(NAMES.name));
    let rows = snapshot.query(&sql, vec![digest(kind, name)]).await?;
    Ok(rows.first().and_then(|row| u32::try_from(row.first()?.integer()?).ok()))
}

/// The topics one step below this one: the first so many that came in the log.
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

/// What these numbers stand for.
pub(super) async fn names(
    kind: Kind,
    numbers: impl IntoIterator<Item = u32>,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<u32, String>, StoreError> {
    /// How many one statement asks for.
    const AT_ONCE: usize = 512;
    let numbers: Vec<u32> = numbers.into_iter().collect();
    let mut names = HashMap::with_capacity(numbers.len());
    for some in numbers.chunks(AT_ONCE) {
        // One of few lengths, so that a database can keep the statement prepared.
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
