//! Who leads which projection: leases, by the clock of this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

/// A projection: its name and version.
type Wanted = (String, u64);

/// What each owner that is there wants, and whether it leads it.
#[derive(Default)]
struct Claims {
    by_projection: BTreeMap<Wanted, BTreeMap<Uuid, bool>>,
    led: BTreeMap<Uuid, usize>,
}

pub(super) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Renews what `owner` wants, then takes what is free and lets go of what is beyond its share.
pub(super) fn acquire(
    connection: &Connection,
    owner: Uuid,
    wanted: &[Wanted],
    term: Duration,
    now: i64,
) -> rusqlite::Result<Vec<Wanted>> {
    // What was renewed in the future was so before the clock was set back: nobody knows when it would run out.
    const DEAD: &str = "DELETE FROM leases WHERE until <= ?1 OR renewed > ?1";
    const STALE: &str = "DELETE FROM leases WHERE owner = ?1 AND renewed <> ?2";
    const RENEW: &str = "INSERT INTO leases (name, version, owner, leads, renewed, until) \
         VALUES (?1, ?2, ?3, 0, ?4, ?5) \
         ON CONFLICT (name, version, owner) DO UPDATE SET renewed = excluded.renewed, until = excluded.until";
    const LEADS: &str = "UPDATE leases SET leads = ?4 WHERE name = ?1 AND version = ?2 AND owner = ?3";
    connection.prepare_cached(DEAD)?.execute([now])?;
    let until = now.saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX));
    for (name, version) in wanted {
        connection.prepare_cached(RENEW)?.execute(params![name, version, owner, now, until])?;
    }
    connection.prepare_cached(STALE)?.execute(params![owner, now])?;
    let mut claims = claims(connection)?;
    let mut leads = connection.prepare_cached(LEADS)?;
    for ((name, version), now_leads) in claims.share(owner) {
        leads.execute(params![name, version, owner, now_leads])?;
    }
    Ok(claims.of(owner))
}

fn claims(connection: &Connection) -> rusqlite::Result<Claims> {
    let mut claims = Claims::default();
    let mut statement = connection.prepare_cached("SELECT name, version, owner, leads FROM leases")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (projection, owner, leads) = ((row.get(0)?, row.get(1)?), row.get(2)?, row.get(3)?);
        *claims.led.entry(owner).or_default() += usize::from(leads);
        claims.by_projection.entry(projection).or_default().insert(owner, leads);
    }
    Ok(claims)
}

impl Claims {
    fn led(&self, owner: Uuid) -> usize {
        self.led.get(&owner).copied().unwrap_or_default()
    }

    fn count(&mut self, owner: Uuid, change: isize) {
        let led = self.led.entry(owner).or_default();
        *led = led.saturating_add_signed(change);
    }

    /// Who of those that want it leads least; `me` if several do.
    fn poorest(&self, owners: &BTreeMap<Uuid, bool>, me: Uuid) -> Option<Uuid> {
        owners.keys().copied().min_by_key(|owner| (self.led(*owner), *owner != me))
    }

    /// What `me` is to lead from now on, and what no more. What is free is counted as that of the one who leads
    /// least, although only its own call takes it: so several that have too much do not all let go at once.
    fn share(&mut self, me: Uuid) -> Vec<(Wanted, bool)> {
        let mut changes = Vec::new();
        let projections: Vec<_> =
            self.by_projection.iter().map(|(key, owners)| (key.clone(), owners.clone())).collect();
        for (projection, owners) in &projections {
            if owners.values().any(|leads| *leads) {
                continue;
            }
            if let Some(next) = self.poorest(owners, me) {
                self.count(next, 1);
                if next == me {
                    changes.push((projection.clone(), true));
                }
            }
        }
        for (projection, owners) in &projections {
            let mine = owners.get(&me).copied().unwrap_or_default();
            let Some(other) = self.poorest(owners, me).filter(|other| mine && *other != me) else { continue };
            if self.led(other) + 2 <= self.led(me) {
                self.count(me, -1);
                self.count(other, 1);
                changes.push((projection.clone(), false));
            }
        }
        for (projection, leads) in &changes {
            if let Some(owners) = self.by_projection.get_mut(projection) {
                owners.insert(me, *leads);
            }
        }
        changes
    }

    fn of(&self, owner: Uuid) -> Vec<Wanted> {
        let led = |owners: &BTreeMap<Uuid, bool>| owners.get(&owner).copied().unwrap_or_default();
        self.by_projection.iter().filter(|(_, owners)| led(owners)).map(|(key, _)| key.clone()).collect()
    }
}

pub(super) fn release(connection: &Connection, owner: Uuid) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM leases WHERE owner = ?1")?.execute([owner]).map(drop)
}

/// Whether any owner that is there wants it.
pub(super) fn is_wanted(connection: &Connection, name: &str, version: u64, now: i64) -> rusqlite::Result<bool> {
    const WANTED: &str = "SELECT EXISTS (SELECT 1 FROM leases WHERE name = ?1 AND version = ?2 \
         AND until > ?3 AND renewed <= ?3)";
    connection.prepare_cached(WANTED)?.query_row(params![name, version, now], |row| row.get(0))
}
