//! Dictionary encoding: the tables of a projection hold a number in place of each name.
//!
//! Numbers count from 1 in the order in which names first occur in the log, so that the same log gives the same numbers in
//! batches of any size. A name is found by its digest, since a name may be longer than an index entry.
//!
//! The audit log and the metrics each keep a table of their own, though many names are in both: projections are
//! independent of each other. Each has its own generations and checkpoint, is rebuilt and dropped alone, and may be at
//! another position of the log; numbers in one table would tie the rows of one to the transactions of the other.

use std::collections::HashMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::digest::first_bytes;
use crate::store::{Cell, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot};

/// Half of a SHA-256: nobody can make two names with the same key.
pub(crate) type Key = [u8; 16];

/// The key of a name. `kind` separates several numberings in one table.
pub(crate) fn key(kind: Option<u8>, name: &str) -> Key {
    first_bytes(&Sha256::new().chain_update(kind.as_slice()).chain_update(name).finalize().into())
}

/// A numbering in a table of names.
pub(crate) struct Numbering<'a> {
    /// The table, with at least the columns `id` and `digest`, and `kind` if it holds several numberings.
    pub table: &'a Table,
    /// The kind of the names, if the table holds several numberings.
    pub kind: Option<u8>,
    /// The row of a new name.
    pub row: &'a (dyn Fn(&str, &Key, i64, &NumberCache) -> Row + Sync),
}

/// The names of a batch, in the order in which they first occur.
#[derive(Default)]
pub(crate) struct BatchNames {
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl BatchNames {
    /// Adds a name; returns its place in the batch.
    pub(crate) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.names.len();
        self.places.insert(name.to_owned(), place);
        self.names.push(name.to_owned());
        place
    }

    /// The numbers of the names, by place. New names are written to the table.
    pub(crate) async fn numbers(
        self,
        Numbering { table, kind, row }: Numbering<'_>,
        cache: &mut NumberCache,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<i64>, StoreError> {
        let keys: Vec<Key> = self.names.iter().map(|name| key(kind, name)).collect();
        let mut unknown: Vec<(&str, Key)> =
            self.names.iter().map(String::as_str).zip(keys.iter().copied()).collect();
        unknown.retain(|(_, key)| !cache.numbers.contains_key(key));
        if !cache.complete && !unknown.is_empty() {
            let keys = unknown.iter().map(|(_, key)| vec![Cell::Bytes(key.to_vec())]).collect();
            let mut found = transaction.select_by_keys(table, &["digest"], &["id"], keys).await?.into_iter();
            unknown.retain(|(_, key)| {
                let id = found.next().flatten().and_then(|row| row.first()?.integer());
                id.map(|id| cache.numbers.insert(*key, id)).is_none()
            });
        }
        if !unknown.is_empty() {
            let of_kind = kind.map_or(String::new(), |kind| format!(" WHERE kind = {kind}"));
            let last = format!("SELECT max(id) FROM {}{of_kind}", transaction.table(table.name));
            let last = transaction.query(&last, Vec::new()).await?;
            let last = last.first().and_then(|row| row.first()?.integer()).unwrap_or(0);
            let mut rows: Vec<Row> = Vec::with_capacity(unknown.len());
            for ((name, key), id) in unknown.into_iter().zip(last + 1..) {
                rows.push(row(name, &key, id, cache));
                cache.numbers.insert(key, id);
            }
            transaction.insert_rows(table, rows, OnConflict::Fail).await?;
        }
        let numbers = keys.iter().map(|key| cache.number(key).unwrap_or_default()).collect();
        cache.limit();
        Ok(numbers)
    }
}

/// Numbers in memory, of a table that only this cache's owner writes.
#[derive(Default)]
pub(crate) struct NumberCache {
    numbers: HashMap<Key, i64>,
    /// Whether it holds every number of the table.
    complete: bool,
}

impl NumberCache {
    const MAX: usize = if cfg!(all(test, debug_assertions)) { 50 } else { 1_000_000 };

    /// The cache of an empty table.
    pub(crate) fn of_empty_table() -> Self {
        Self { complete: true, ..Self::default() }
    }

    /// The number of a name that has been looked up or written.
    pub(crate) fn number(&self, key: &Key) -> Option<i64> {
        self.numbers.get(key).copied()
    }

    fn limit(&mut self) {
        if self.numbers.len() > Self::MAX {
            *self = Self::default();
        }
    }
}

/// The numbers of these names, without those that the table does not hold.
pub(crate) async fn numbers(
    table: &Table,
    keys: &[Key],
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<Key, i64>, StoreError> {
    let Some(last) = keys.last() else { return Ok(HashMap::new()) };
    // The number of parameters is a power of two, so that a database prepares few statements: the last key is repeated.
    let length = keys.len().next_power_of_two();
    let padded = keys.iter().chain(std::iter::repeat_n(last, length - keys.len()));
    let parameters: Row = padded.map(|key| Cell::Bytes(key.to_vec())).collect();
    let mut sql = format!("SELECT digest, id FROM {} WHERE digest IN ($1", snapshot.table(table.name));
    for n in 2..=length {
        // Writing to a string does not fail.
        let _ = write!(sql, ", ${n}");
    }
    let rows = snapshot.query(&(sql + ")"), parameters).await?;
    let number = |row: Row| match row.as_slice() {
        [Cell::Bytes(key), Cell::Integer(id)] => Some((key.as_slice().try_into().ok()?, *id)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(number).collect())
}
