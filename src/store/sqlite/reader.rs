//! Reads the log. Each page is one short transaction.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::append::roll_back;
use super::location::FileLocation;
use super::rows::{self, select_events};
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{Interest, KnownCommand, Page, StoreError};

const DOING: &str = "reading the log";
/// For a few event types, this many times the page size is scanned before the index is used.
const WINDOW: u64 = 4;

/// Runs `read` in one snapshot.
fn in_snapshot<T>(
    location: &FileLocation,
    connection: &Connection,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection
        .prepare_cached("BEGIN")
        .and_then(|mut begin| begin.execute([]))
        .map_err(|error| location.fault(DOING, error))?;
    let result = read();
    roll_back(connection);
    result
}

pub(in crate::store) fn head(location: &FileLocation, connection: &Connection) -> Result<LogPosition, StoreError> {
    rows::head(connection).map_err(|error| location.fault(DOING, error))
}

pub(super) fn read(
    location: &FileLocation,
    connection: &Connection,
    after: u64,
    limit: usize,
    bytes: usize,
    interest: &Interest,
) -> Result<Page, StoreError> {
    let limit = limit.max(1);
    let mut room = Room { bytes, read: 0 };
    in_snapshot(location, connection, || {
        let head = head(location, connection)?;
        if head.position <= after {
            return Ok(Page { events: Vec::new(), to: head });
        }
        let mut events = Vec::new();
        match interest {
            Interest::All => {
                const ALL: &str = select_events!("WHERE position > ?1 ORDER BY position LIMIT ?2");
                let mut statement = connection.prepare_cached(ALL).map_err(|error| location.fault(DOING, error))?;
                rows::events_while(location, &mut statement, params![after, limit], &mut events, |event| {
                    room.is_left_after(event)
                })?;
            }
            Interest::EventTypes(types) => {
                read_types(location, connection, after, limit, &mut room, head, types, &mut events)?
            }
        }
        let full = events.len() >= limit || room.is_used_up();
        let to = events.last().filter(|_| full).map_or(head, Stored::head);
        Ok(Page { events, to })
    })
}

/// The bytes that a read may return, and those that it has read.
struct Room {
    bytes: usize,
    read: usize,
}

impl Room {
    fn is_left_after(&mut self, event: &Stored) -> bool {
        self.read += event.text_bytes();
        !self.is_used_up()
    }

    fn is_used_up(&self) -> bool {
        self.read >= self.bytes
    }
}

/// The positions of one type, from its index alone.
const FAR: &str = "SELECT position FROM events WHERE event_type = ?1 AND position > ?2 AND position <= ?3 \
     ORDER BY position LIMIT ?4";

/// Reads events of a few types: nearby ones by a scan, later ones by the index, which has a cost for each type.
#[allow(clippy::too_many_arguments, reason = "a part of `read`, with its arguments")]
fn read_types(
    location: &FileLocation,
    connection: &Connection,
    after: u64,
    limit: usize,
    room: &mut Room,
    head: LogPosition,
    types: &[String],
    events: &mut Vec<Stored>,
) -> Result<(), StoreError> {
    const NEAR: &str = select_events!("WHERE position > ?1 AND position <= ?2 ORDER BY position");
    let fault = |error| location.fault(DOING, error);
    let window = after.saturating_add(WINDOW.saturating_mul(limit as u64)).min(head.position);
    let wanted: HashSet<&str> = types.iter().map(String::as_str).collect();
    let mut near = connection.prepare_cached(NEAR).map_err(fault)?;
    let has_room = |event: &Stored| room.is_left_after(event);
    rows::wanted_events(location, &mut near, params![after, window], &wanted, limit, events, has_room)?;
    let left = limit.saturating_sub(events.len());
    if left == 0 || room.is_used_up() || window >= head.position {
        return Ok(());
    }
    let mut far = connection.prepare_cached(FAR).map_err(fault)?;
    let mut positions: Vec<u64> = Vec::new();
    for event_type in types {
        let bound = positions.last().filter(|_| positions.len() == left).map_or(head.position, |last| last - 1);
        let found = far.query_map(params![event_type, window, bound, left], |row| row.get(0)).map_err(fault)?;
        for position in found {
            positions.push(position.map_err(fault)?);
        }
        positions.sort_unstable();
        positions.dedup();
        positions.truncate(left);
    }
    read_each(location, connection, &positions, events, |event| room.is_left_after(event))
}

fn read_positions(
    location: &FileLocation,
    connection: &Connection,
    positions: &[u64],
    events: &mut Vec<Stored>,
) -> Result<(), StoreError> {
    read_each(location, connection, positions, events, |_| true)
}

/// Reads the events at these positions, until `has_room` is false after one of them.
fn read_each(
    location: &FileLocation,
    connection: &Connection,
    positions: &[u64],
    events: &mut Vec<Stored>,
    mut has_room: impl FnMut(&Stored) -> bool,
) -> Result<(), StoreError> {
    const ONE: &str = select_events!("WHERE position = ?1");
    let mut statement = connection.prepare_cached(ONE).map_err(|error| location.fault(DOING, error))?;
    for position in positions {
        let before = events.len();
        rows::events(location, &mut statement, [position], events)?;
        if !events[before..].iter().all(&mut has_room) {
            break;
        }
    }
    Ok(())
}

pub(super) fn read_within(
    location: &FileLocation,
    connection: &Connection,
    positions: &[u64],
    bytes: usize,
) -> Result<Vec<Stored>, StoreError> {
    let stored: Vec<u64> = positions.iter().copied().filter(|position| i64::try_from(*position).is_ok()).collect();
    in_snapshot(location, connection, || {
        let (mut events, mut room) = (Vec::new(), Room { bytes, read: 0 });
        read_each(location, connection, &stored, &mut events, |event| room.is_left_after(event))?;
        Ok(events)
    })
}

pub(super) fn read_at(
    location: &FileLocation,
    connection: &Connection,
    mut positions: Vec<u64>,
) -> Result<Vec<Stored>, StoreError> {
    positions.retain(|position| i64::try_from(*position).is_ok());
    positions.sort_unstable();
    positions.dedup();
    in_snapshot(location, connection, || {
        let mut events = Vec::with_capacity(positions.len());
        read_positions(location, connection, &positions, &mut events)?;
        Ok(events)
    })
}

pub(in crate::store) fn load(
    location: &FileLocation,
    connection: &Connection,
    aggregate: &Ref,
    after: u64,
    limit: i64,
) -> Result<Vec<Stored>, StoreError> {
    load_within(location, connection, aggregate, after, limit, usize::MAX)
}

pub(super) fn load_within(
    location: &FileLocation,
    connection: &Connection,
    aggregate: &Ref,
    after: u64,
    limit: i64,
    bytes: usize,
) -> Result<Vec<Stored>, StoreError> {
    const LOAD: &str = select_events!(
        "WHERE aggregate_type = ?1 AND aggregate_id = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(LOAD).map_err(|error| location.fault(DOING, error))?;
    let mut events = Vec::new();
    let parameters = params![aggregate.kind(), aggregate.id(), after, limit];
    let mut room = Room { bytes, read: 0 };
    rows::events_while(location, &mut statement, parameters, &mut events, |event| room.is_left_after(event))?;
    Ok(events)
}

pub(super) fn find_commands(
    location: &FileLocation,
    connection: &Connection,
    ids: &[Uuid],
) -> Result<Vec<Option<KnownCommand>>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(rows::SELECT_COMMAND)?;
        ids.iter().map(|id| rows::known(&mut statement, *id)).collect()
    };
    let read: Result<_, rusqlite::Error> = read();
    read.map_err(|error| location.fault("reading commands", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However large the table is, and before and after ANALYZE: a rare type among millions needs no scan.
    #[test]
    fn a_rare_type_is_found_by_its_index_alone() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(super::super::database_file::LOG.schema).unwrap();
        for _ in 0..2 {
            let plan: String = connection
                .query_row(&format!("EXPLAIN QUERY PLAN {FAR}"), params!["rare.comet", 1, 9, 5], |row| row.get(3))
                .unwrap();
            assert_eq!(
                plan,
                "SEARCH events USING COVERING INDEX events_by_type (event_type=? AND rowid>? AND rowid<?)"
            );
            connection.execute_batch("ANALYZE").unwrap();
        }
    }
}
