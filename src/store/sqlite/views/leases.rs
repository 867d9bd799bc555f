//! Leases: the owner that leads each projection, by this machine's clock.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::store::LeaseAssignment;

pub(super) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Renews the leases of `owner` on the projections that it wants, assigns them and returns those that `owner` leads.
pub(super) fn acquire(
    connection: &Connection,
    owner: Uuid,
    wanted: &[(String, u64)],
    term: Duration,
    now: i64,
) -> rusqlite::Result<Vec<(String, u64)>> {
    // A lease that was renewed in the future was renewed before the clock was set back: when it expires is unknown.
    const DEAD: &str = "DELETE FROM leases WHERE until <= ?1 OR renewed > ?1";
    const STALE: &str = "DELETE FROM leases WHERE owner = ?1 AND renewed <> ?2";
    const RENEW: &str = "INSERT INTO leases (name, version, owner, leads, renewed, until) \
         VALUES (?1, ?2, ?3, 0, ?4, ?5) \
         ON CONFLICT (name, version, owner) DO UPDATE SET renewed = excluded.renewed, until = excluded.until";
    const LEADS: &str =
        "UPDATE leases SET leads = ?4 WHERE name = ?1 AND version = ?2 AND owner = ?3 AND leads <> ?4";
    connection.prepare_cached(DEAD)?.execute([now])?;
    let until = now.saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX));
    for (name, version) in wanted {
        connection.prepare_cached(RENEW)?.execute(params![name, version, owner, now, until])?;
    }
    connection.prepare_cached(STALE)?.execute(params![owner, now])?;
    let leads = assignment(connection)?.for_owner(owner);
    let mut update = connection.prepare_cached(LEADS)?;
    for projection in wanted {
        update.execute(params![projection.0, projection.1, owner, leads.contains(projection)])?;
    }
    Ok(leads.into_iter().collect())
}

fn assignment(connection: &Connection) -> rusqlite::Result<LeaseAssignment> {
    let mut assignment = LeaseAssignment::default();
    let mut statement = connection.prepare_cached("SELECT name, version, owner, leads FROM leases")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        assignment.add(row.get(2)?, (row.get(0)?, row.get(1)?), row.get(3)?);
    }
    Ok(assignment)
}

pub(super) fn release(connection: &Connection, owner: Uuid) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM leases WHERE owner = ?1")?.execute([owner]).map(drop)
}

/// Returns whether an owner whose lease has not expired wants the projection.
pub(super) fn is_wanted(connection: &Connection, name: &str, version: u64, now: i64) -> rusqlite::Result<bool> {
    const WANTED: &str = "SELECT EXISTS (SELECT 1 FROM leases WHERE name = ?1 AND version = ?2 \
         AND until > ?3 AND renewed <= ?3)";
    connection.prepare_cached(WANTED)?.query_row(params![name, version, now], |row| row.get(0))
}
