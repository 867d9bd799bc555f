//! Dead letters: events that an operator skipped for a projection, and events that queue behind them.
//!
//! They are in a table of the generation, so that they change in one transaction with its checkpoint. A view with
//! keys parks the keys of a dead letter: later events of these keys queue behind it, and the documents of these
//! keys keep their state. In a projection without keys only the event itself is skipped.

use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use serde::Serialize;

use crate::events::Stored;
use crate::projections::fold::{EMPTY_KEY, FoldBase, KeyFilter, key_name};
use crate::projections::{Projection, ProjectionError};
use crate::store::{Cell, Column, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot, project_at_once};

const TABLE: Table = Table::new(
    "dead_letters",
    &[
        Column::integer("position"),
        Column::text("key"),
        Column::text("event_type"),
        Column::text("error").nullable(),
        Column::integer("attempts"),
        Column::text("since"),
    ],
    &["key", "position"],
);
const COLUMNS: &str = "position, key, event_type, error, attempts, since";

/// How many events are queued at a time.
const AT_ONCE: usize = 1_024;

/// An event that a projection skipped: see [`Annals::skip`](crate::app::Annals::skip).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// The event's position.
    pub position: u64,
    /// The event's type.
    pub event_type: String,
    /// The parked key; `None` in a projection without keys, and where the keys of the event cannot be determined.
    /// Of a key of more than 1,024 bytes the beginning and its SHA-256.
    pub key: Option<String>,
    /// The projection's error; `None` if the event only queues behind one of the same key.
    pub error: Option<String>,
    /// The number of attempts.
    pub attempts: u32,
    /// When the event was skipped.
    pub since: Timestamp,
}

impl DeadLetter {
    fn row(&self) -> Row {
        vec![
            self.position.into(),
            self.key.as_deref().map(key_name).unwrap_or_default().into_owned().into(),
            self.event_type.as_str().into(),
            self.error.clone().map_or(Cell::Null, Cell::from),
            u64::from(self.attempts).into(),
            self.since.to_string().into(),
        ]
    }

    fn from_row(row: &Row) -> Option<Self> {
        let text = |index: usize| row.get(index).and_then(Cell::text).map(str::to_owned);
        let number = |index: usize| row.get(index).and_then(Cell::integer);
        Some(Self {
            position: number(0)?.try_into().ok()?,
            key: text(1)
                .filter(|key| !key.is_empty())
                .map(|key| if key == EMPTY_KEY { String::new() } else { key }),
            event_type: text(2)?,
            error: text(3),
            attempts: number(4)?.try_into().ok()?,
            since: text(5)?.parse().ok()?,
        })
    }

    fn queued(stored: &Stored, key: String) -> Self {
        let event_type = stored.event_type.clone();
        Self {
            position: stored.position,
            event_type,
            key: Some(key),
            error: None,
            attempts: 0,
            since: Timestamp::now(),
        }
    }

    /// The dead letters of a failing event: one for each of its keys.
    pub(super) fn for_event(
        projection: &dyn Projection,
        stored: &Stored,
        error: &str,
        attempts: u32,
        since: Timestamp,
    ) -> Vec<Self> {
        let letter = |key| Self {
            position: stored.position,
            event_type: stored.event_type.clone(),
            key,
            error: Some(error.to_owned()),
            attempts,
            since,
        };
        // The failure may be in the projection's function for keys.
        let keys = catch_unwind(AssertUnwindSafe(|| project_at_once(|| projection.keys(stored))));
        match keys.unwrap_or(Ok(None)) {
            Ok(Some(keys)) if !keys.is_empty() => keys.into_iter().map(|key| letter(Some(key))).collect(),
            _ => vec![letter(None)],
        }
    }
}

/// Creates the table.
pub(super) async fn set_up(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.create_table(&TABLE).await
}

/// The most dead letters that are listed.
const MAX_LISTED: usize = 1_000;

/// The first dead letters, in the order of their events.
pub(super) async fn first(snapshot: &mut dyn ViewSnapshot) -> Result<Vec<DeadLetter>, StoreError> {
    let table = snapshot.table(TABLE.name);
    let sql = format!("SELECT {COLUMNS} FROM {table} ORDER BY position, key LIMIT {MAX_LISTED}");
    Ok(snapshot.query(&sql, Vec::new()).await?.iter().filter_map(DeadLetter::from_row).collect())
}

/// All dead letters, in the order of their events.
pub(super) async fn all(snapshot: &mut dyn ViewSnapshot) -> Result<Vec<DeadLetter>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {} ORDER BY position, key", snapshot.table(TABLE.name));
    Ok(snapshot.query(&sql, Vec::new()).await?.iter().filter_map(DeadLetter::from_row).collect())
}

/// The number of dead letters, including those that queue.
pub(super) async fn count(snapshot: &mut dyn ViewSnapshot) -> Result<u64, StoreError> {
    let sql = format!("SELECT count(DISTINCT position) FROM {}", snapshot.table(TABLE.name));
    let rows = snapshot.query(&sql, Vec::new()).await?;
    let count = rows.first().and_then(|row| row.first()).and_then(Cell::integer);
    Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
}

/// Whether there are dead letters under this key.
pub(in crate::projections) async fn are_left_out(
    key: &str,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 FROM {} WHERE key = $1 LIMIT 1", snapshot.table(TABLE.name));
    Ok(!snapshot.query(&sql, vec![Cell::from(&*key_name(key))]).await?.is_empty())
}

pub(super) async fn add(letters: &[DeadLetter], transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    transaction.insert_rows(&TABLE, letters.iter().map(DeadLetter::row).collect(), OnConflict::Keep).await
}

/// Deletes the dead letters under the key of this name.
pub(super) async fn forget(key: &str, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE key = $1", transaction.table(TABLE.name));
    transaction.execute(&sql, vec![key.into()]).await.map(drop)
}

/// Deletes the dead letter of an event whose keys could not be determined.
pub(super) async fn forget_event(position: u64, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {} WHERE key = '' AND position = $1", transaction.table(TABLE.name));
    transaction.execute(&sql, vec![position.into()]).await.map(drop)
}

/// The positions of the events that queue under the key of this name, in order.
pub(super) async fn waiting(key: &str, transaction: &mut dyn Transaction) -> Result<Vec<u64>, StoreError> {
    let sql = format!("SELECT position FROM {} WHERE key = $1 ORDER BY position", transaction.table(TABLE.name));
    let rows = transaction.query(&sql, vec![key.into()]).await?;
    let positions = rows.iter().flatten().filter_map(Cell::integer);
    Ok(positions.filter_map(|position| u64::try_from(position).ok()).collect())
}

/// The names of the parked keys.
pub(super) async fn parked(transaction: &mut dyn Transaction) -> Result<HashSet<String>, StoreError> {
    let sql = format!("SELECT DISTINCT key FROM {} WHERE key <> ''", transaction.table(TABLE.name));
    let rows = transaction.query(&sql, Vec::new()).await?;
    Ok(rows.iter().flatten().filter_map(|cell| cell.text().map(str::to_owned)).collect())
}

/// Whether there are any dead letters.
pub(super) async fn are_there(transaction: &mut dyn Transaction) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", transaction.table(TABLE.name));
    Ok(!transaction.query(&sql, Vec::new()).await?.is_empty())
}

/// The dead letters of those events that queue behind parked keys.
pub(super) fn queue(
    projection: &dyn Projection,
    events: &[Stored],
    parked: &HashSet<String>,
) -> Result<Vec<DeadLetter>, ProjectionError> {
    let mut letters = Vec::new();
    if parked.is_empty() {
        return Ok(letters);
    }
    for stored in events {
        let keys: HashSet<String> = projection.keys(stored)?.unwrap_or_default().into_iter().collect();
        let behind = keys.into_iter().filter(|key| parked.contains(&*key_name(key)));
        letters.extend(behind.map(|key| DeadLetter::queued(stored, key)));
    }
    Ok(letters)
}

/// Applies events to all keys but the parked ones, for which it queues them. Returns `None` if nothing is parked:
/// the caller applies the events as usual.
pub(super) async fn take_around(
    projection: &dyn Projection,
    events: &[Stored],
    transaction: &mut dyn Transaction,
) -> Result<Option<()>, ProjectionError> {
    let parked = parked(transaction).await?;
    let Some(mut fold) = projection.fold(FoldBase::Load).filter(|_| !parked.is_empty()) else { return Ok(None) };
    for events in events.chunks(AT_ONCE) {
        fold.gather(events, KeyFilter::Without(&parked))?;
        if fold.lacks() {
            fold.load(transaction).await?;
        }
        fold.fold();
        let letters = queue(projection, events, &parked)?;
        add(&letters, transaction).await?;
    }
    fold.write(transaction).await?;
    Ok(Some(()))
}

/// The dead letters that a rebuild skips again, by position, without those that only queue.
pub(super) fn skips(letters: Vec<DeadLetter>) -> BTreeMap<u64, DeadLetter> {
    letters.into_iter().filter(|letter| letter.error.is_some()).map(|letter| (letter.position, letter)).collect()
}
