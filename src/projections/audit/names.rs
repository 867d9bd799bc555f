//! The numbers that stand for names: actors, targets, topics, event types, correlations.
//!
//! The audit log's tables hold numbers alone, so that a row takes few bytes and no text, however long or strange, can
//! keep it from being written or found. A name is known by its digest; what it reads is in the log.

use std::collections::HashMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::store::{Cell, Column, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot};

/// The number of each name, by the name's digest.
pub(super) const NAMES: Table = Table::new("names", &[Column::integer("id"), Column::bytes("digest")], &["id"]);

/// Half of a SHA-256: nobody can make two names of one key.
pub(super) type Key = [u8; 16];

pub(super) fn key(name: &str) -> Key {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// The numbers of the names in a batch: those that are known, and new ones in the order in which they first come, so
/// that the same log gives the same numbers in batches of any size.
#[derive(Default)]
pub(super) struct Names {
    /// Names of the batch in order of first appearance.
    places: HashMap<String, usize>,
    keys: Vec<Key>,
}

impl Names {
    /// Takes a name in; answers its place among those of the batch.
    pub(super) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.places.insert(name.to_owned(), self.keys.len());
        self.keys.push(key(name));
        self.keys.len() - 1
    }

    /// The numbers, by place; what is new is written.
    pub(super) async fn numbers(
        self,
        known: &mut Known,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<i64>, StoreError> {
        let mut unknown: Vec<&Key> = self.keys.iter().filter(|key| !known.numbers.contains_key(*key)).collect();
        if !known.all && !unknown.is_empty() {
            let keys = unknown.iter().map(|key| vec![Cell::Bytes(key.to_vec())]).collect();
            let found = transaction.select_by_keys(&NAMES, &["digest"], &["id"], keys).await?;
            let mut found = found.into_iter();
            unknown.retain(|key| {
                let id = found.next().flatten().and_then(|row| row.first()?.integer());
                id.map(|id| known.numbers.insert(**key, id)).is_none()
            });
        }
        if !unknown.is_empty() {
            let last = transaction
                .query(&format!("SELECT max(id) FROM {}", transaction.table(NAMES.name)), Vec::new())
                .await?;
            let last = last.first().and_then(|row| row.first()?.integer()).unwrap_or(0);
            let mut new: Vec<Row> = Vec::with_capacity(unknown.len());
            for (key, id) in unknown.into_iter().zip(last + 1..) {
                known.numbers.insert(*key, id);
                new.push(vec![Cell::Integer(id), Cell::Bytes(key.to_vec())]);
            }
            transaction.insert_rows(&NAMES, new, OnConflict::Fail).await?;
        }
        let numbers = self.keys.iter().map(|key| known.numbers.get(key).copied().unwrap_or_default()).collect();
        known.forget();
        Ok(numbers)
    }
}

/// The numbers that need not be looked up.
#[derive(Default)]
pub(super) struct Known {
    numbers: HashMap<Key, i64>,
    /// Whether there are no others.
    all: bool,
}

impl Known {
    /// How many are kept, at most.
    const MOST: usize = if cfg!(all(test, debug_assertions)) { 50 } else { 1_000_000 };

    /// Of tables in which there is nothing yet.
    pub(super) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Forgets what takes too much memory.
    fn forget(&mut self) {
        if self.numbers.len() > Self::MOST {
            *self = Self::default();
        }
    }
}

/// The numbers of these names; a name that the log does not hold has none.
pub(super) async fn resolve(
    snapshot: &mut dyn ViewSnapshot,
    names: &[Key],
) -> Result<HashMap<Key, i64>, StoreError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let (sql, parameters) = find(&snapshot.table(NAMES.name), names);
    Ok(read(snapshot.query(&sql, parameters).await?).collect())
}

/// The statement for these keys. It has one of few lengths, so that a database can keep it prepared: the last key is
/// asked for more than once.
fn find(table: &str, keys: &[Key]) -> (String, Row) {
    let length = keys.len().next_power_of_two();
    let padded = keys.iter().chain(std::iter::repeat_n(keys.last().unwrap_or(&[0; 16]), length - keys.len()));
    let parameters: Row = padded.map(|key| Cell::Bytes(key.to_vec())).collect();
    let mut sql = format!("SELECT digest, id FROM {table} WHERE digest IN ($1");
    for n in 2..=length {
        // To write to a text does not fail.
        let _ = write!(sql, ", ${n}");
    }
    (sql + ")", parameters)
}

fn read(rows: Vec<Row>) -> impl Iterator<Item = (Key, i64)> {
    rows.into_iter().filter_map(|row| match row.as_slice() {
        [Cell::Bytes(key), Cell::Integer(id)] => Some((key.as_slice().try_into().ok()?, *id)),
        _ => None,
    })
}
