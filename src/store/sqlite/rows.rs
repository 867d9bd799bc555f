//! Decodes rows of the log.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Params, Row};
use uuid::Uuid;

use super::location::FileLocation;
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{KnownCommand, Receipt, StoreError, time_of_micros};

/// The columns of an event, in the order in which [`stored`] reads them.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, ",
            "metadata, command_id, occurred_at, recorded_at, digest FROM events ",
            $rest
        )
    };
}
pub(in crate::store) use select_events;

/// Runs a query of events and collects all of them.
pub(in crate::store) fn events(
    location: &FileLocation,
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
    into: &mut Vec<Stored>,
) -> Result<(), StoreError> {
    events_while(location, statement, parameters, into, |_| true)
}

/// Runs a query of events and collects them, until `has_room` is false after one of them.
pub(super) fn events_while(
    location: &FileLocation,
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
    into: &mut Vec<Stored>,
    mut has_room: impl FnMut(&Stored) -> bool,
) -> Result<(), StoreError> {
    const DOING: &str = "reading events";
    let mut rows = statement.query(parameters).map_err(|error| location.fault(DOING, error))?;
    while let Some(row) = rows.next().map_err(|error| location.fault(DOING, error))? {
        let event = stored(row)?;
        let room = has_room(&event);
        into.push(event);
        if !room {
            break;
        }
    }
    Ok(())
}

/// Runs a query of events until `limit` of them have one of these types, or `has_room` is false after one of them. Filtering here instead of in SQLite saves a
/// look-up in a temporary table for each row: a tenth of the cost of reading.
pub(super) fn wanted_events(
    location: &FileLocation,
    statement: &mut CachedStatement<'_>,
    parameters: impl Params,
    wanted: &HashSet<&str>,
    limit: usize,
    into: &mut Vec<Stored>,
    mut has_room: impl FnMut(&Stored) -> bool,
) -> Result<(), StoreError> {
    const DOING: &str = "reading events";
    let mut rows = statement.query(parameters).map_err(|error| location.fault(DOING, error))?;
    let mut room = true;
    while room && into.len() < limit {
        let Some(row) = rows.next().map_err(|error| location.fault(DOING, error))? else { break };
        let event_type = row.get_ref(5).ok().and_then(|value| value.as_str().ok());
        // Consecutive events often have the same type.
        let as_before = into.last().is_some_and(|last| Some(last.event_type.as_str()) == event_type);
        // For a row that cannot be read, `stored` returns the error.
        if as_before || event_type.is_none_or(|event_type| wanted.contains(event_type)) {
            let event = stored(row)?;
            room = has_room(&event);
            into.push(event);
        }
    }
    Ok(())
}

/// Returns the position of the last event.
pub(in crate::store) fn head(connection: &rusqlite::Connection) -> rusqlite::Result<LogPosition> {
    let mut statement =
        connection.prepare_cached("SELECT position, event_id FROM events ORDER BY position DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        Some(row) => Ok(LogPosition { position: row.get(0)?, event_id: row.get(1)? }),
        None => Ok(LogPosition::default()),
    }
}

/// Decodes one row of [`select_events`].
fn stored(row: &Row<'_>) -> Result<Stored, StoreError> {
    let position = row
        .get(0)
        .map_err(|error| StoreError::Corrupt { position: 0, reason: format!("its position: {error}") })?;
    let columns = Columns { row, position };
    let aggregate = Ref::new(columns.text(2, "aggregate_type")?, columns.text(3, "aggregate_id")?)
        .map_err(|error| columns.corrupt("aggregate", &error))?;
    Ok(Stored {
        position,
        event_id: columns.uuid(1, "event_id")?,
        aggregate,
        sequence: columns.get(4, "sequence")?,
        event_type: columns.text(5, "event_type")?.to_owned(),
        event_version: columns.text(6, "event_version")?.to_owned(),
        payload: columns.text(7, "payload")?.to_owned(),
        metadata: columns.text(8, "metadata")?.to_owned(),
        command_id: columns.uuid(9, "command_id")?,
        occurred_at: columns.time(10, "occurred_at")?,
        recorded_at: columns.time(11, "recorded_at")?,
        digest: columns.bytes(12, "digest")?,
    })
}

struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    position: u64,
}

impl<'a> Columns<'a, '_> {
    fn corrupt(&self, column: &str, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt { position: self.position, reason: format!("{column}: {reason}") }
    }

    fn get<T: rusqlite::types::FromSql>(&self, index: usize, column: &str) -> Result<T, StoreError> {
        self.row.get(index).map_err(|error| self.corrupt(column, &error))
    }

    fn text(&self, index: usize, column: &str) -> Result<&'a str, StoreError> {
        let value = self.row.get_ref(index).map_err(|error| self.corrupt(column, &error))?;
        value.as_str().map_err(|error| self.corrupt(column, &error))
    }

    fn bytes<const N: usize>(&self, index: usize, column: &str) -> Result<[u8; N], StoreError> {
        match self.row.get_ref(index) {
            Ok(ValueRef::Blob(bytes)) => bytes.try_into().map_err(|error| self.corrupt(column, &error)),
            Ok(other) => Err(self.corrupt(column, &format!("contains {}, not bytes", other.data_type()))),
            Err(error) => Err(self.corrupt(column, &error)),
        }
    }

    fn uuid(&self, index: usize, column: &str) -> Result<Uuid, StoreError> {
        self.bytes(index, column).map(Uuid::from_bytes)
    }

    fn time(&self, index: usize, column: &str) -> Result<Timestamp, StoreError> {
        time_of_micros(self.get(index, column)?).map_err(|error| self.corrupt(column, &error))
    }
}

/// The columns of a command, in the order in which [`known`] reads them.
pub(super) const SELECT_COMMAND: &str = "SELECT body_digest, first_position, events, head_position, head_event_id, \
     recorded_at, command FROM commands WHERE command_id = ?1";

/// Returns the row of a command id.
pub(super) fn known(
    statement: &mut CachedStatement<'_>,
    command_id: Uuid,
) -> rusqlite::Result<Option<KnownCommand>> {
    let mut rows = statement.query([command_id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let receipt = Receipt {
        command_id,
        first_position: row.get(1)?,
        events: row.get(2)?,
        head: LogPosition { position: row.get(3)?, event_id: row.get(4)? },
        recorded_at: time(row.get(5)?),
        repeated: true,
    };
    Ok(Some(KnownCommand { body_digest: row.get(0)?, receipt, command: row.get(6)? }))
}

/// Decodes a time. One that is out of range (another program wrote it) becomes the nearest time in range.
pub(super) fn time(microseconds: i64) -> Timestamp {
    time_of_micros(microseconds).unwrap_or(if microseconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
