//! Snapshots of aggregates.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::events::Ref;
use crate::store::{HashChain, Snapshot};

/// Finds the snapshot of an aggregate.
pub(super) fn find(connection: &Connection, aggregate: &Ref) -> Result<Option<Snapshot>> {
    const FIND: &str = "SELECT sequence, event_id, digest, shape, state FROM snapshots \
         WHERE aggregate_type = ?1 AND aggregate_id = ?2";
    let mut statement = connection.prepare_cached(FIND)?;
    let found = statement.query_row([aggregate.kind(), aggregate.id()], |row| {
        Ok(Snapshot {
            sequence: row.get(0)?,
            event_id: row.get(1)?,
            digest: HashChain::from_bytes(row.get(2)?),
            shape: row.get(3)?,
            state: row.get(4)?,
        })
    });
    found.optional()
}

/// Saves a snapshot, unless there is a newer one of the same shape.
pub(super) fn keep(connection: &Connection, aggregate: &Ref, snapshot: &Snapshot) -> Result<()> {
    const KEEP: &str = "INSERT INTO snapshots \
             (aggregate_type, aggregate_id, sequence, event_id, digest, shape, state) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE \
         SET sequence = excluded.sequence, event_id = excluded.event_id, digest = excluded.digest, \
             shape = excluded.shape, state = excluded.state \
         WHERE excluded.shape <> shape OR excluded.sequence >= sequence OR excluded.event_id > event_id";
    let Snapshot { sequence, event_id, digest, shape, state } = snapshot;
    let mut statement = connection.prepare_cached(KEEP)?;
    let values = params![aggregate.kind(), aggregate.id(), sequence, event_id, digest.as_bytes(), shape, state];
    statement.execute(values).map(drop)
}

/// Lists the aggregates that have a snapshot. Invalid references, which no program asks for, are left out.
pub(super) fn all(connection: &Connection) -> Result<Vec<Ref>> {
    let mut statement = connection.prepare("SELECT aggregate_type, aggregate_id FROM snapshots ORDER BY 1, 2")?;
    let names = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let aggregate = |(kind, id): (String, String)| Ref::new(&kind, &id).ok();
    names.filter_map(|name| name.map(aggregate).transpose()).collect()
}

/// Deletes all snapshots.
pub(super) fn clear(connection: &Connection) -> Result<u64> {
    connection.execute("DELETE FROM snapshots", []).map(|count| count as u64)
}
