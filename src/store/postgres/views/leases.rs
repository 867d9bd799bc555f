//! Leases of projections, by the database's clock. Each function runs in a transaction that excludes all others of its kind.

use std::time::Duration;

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::super::location::SchemaLocation;
use super::generations::{ask, signed, unsigned};
use crate::store::LeaseAssignment;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The latest end of a valid lease: a later one was written while the server's clock, or another server's, was ahead, and is
/// ignored. ([`Views::acquire_leases`](crate::store::Views::acquire_leases) accepts no longer term.)
pub(super) const LATEST: &str = "(clock_timestamp() + interval '1 minute')";

/// Renews the leases that `owner` wants, acquires those assigned to it and releases those beyond its share.
pub(super) async fn acquire(
    location: &SchemaLocation,
    on: &mut PgConnection,
    owner: Uuid,
    wanted: &[(String, u64)],
    term: Duration,
) -> Result<Vec<(String, u64)>> {
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let versions: Vec<i64> = wanted.iter().map(|(_, version)| signed(*version)).collect();
    let clean = location.sql(&format!(
        "DELETE FROM {{schema}}.leases WHERE until NOT BETWEEN clock_timestamp() AND {LATEST} \
         OR owner = $1 AND (name, version) NOT IN (SELECT * FROM UNNEST($2::text[], $3::bigint[]))",
    ));
    ask!(location, &clean, owner, &names, &versions).execute(&mut *on).await?;
    let renew = location.sql(
        "INSERT INTO {schema}.leases AS l (name, version, owner, leads, until) \
         SELECT DISTINCT w.name, w.version, $1::uuid, false, clock_timestamp() + $4::float8 * interval '1 second' \
         FROM UNNEST($2::text[], $3::bigint[]) AS w (name, version) \
         ON CONFLICT (name, version, owner) DO UPDATE SET until = excluded.until",
    );
    ask!(location, &renew, owner, &names, &versions, term.as_secs_f64()).execute(&mut *on).await?;

    let all = location.sql("SELECT name, version, owner, leads FROM {schema}.leases");
    let mut assignment = LeaseAssignment::default();
    for row in ask!(location, &all).fetch_all(&mut *on).await? {
        assignment.add(row.try_get(2)?, (row.try_get(0)?, unsigned(row.try_get(1)?)), row.try_get(3)?);
    }
    let leads: Vec<(String, u64)> = assignment.for_owner(owner).into_iter().collect();
    let names: Vec<&str> = leads.iter().map(|(name, _)| name.as_str()).collect();
    let versions: Vec<i64> = leads.iter().map(|(_, version)| signed(*version)).collect();
    let write = location.sql(
        "UPDATE {schema}.leases l SET leads = NOT l.leads WHERE l.owner = $1 \
         AND l.leads <> ((l.name, l.version) IN (SELECT * FROM UNNEST($2::text[], $3::bigint[])))",
    );
    ask!(location, &write, owner, &names, &versions).execute(on).await?;
    Ok(leads)
}

pub(super) async fn release(location: &SchemaLocation, on: &mut PgConnection, owner: Uuid) -> Result<()> {
    let sql = location.sql("DELETE FROM {schema}.leases WHERE owner = $1");
    ask!(location, &sql, owner).execute(on).await.map(drop)
}

/// Whether a live owner wants the projection.
pub(super) async fn is_wanted(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<bool> {
    let sql = location.sql(&format!(
        "SELECT EXISTS (SELECT 1 FROM {{schema}}.leases WHERE name = $1 AND version = $2 \
         AND until BETWEEN clock_timestamp() AND {LATEST})",
    ));
    ask!(location, &sql, name, signed(version)).fetch_one(on).await?.try_get(0)
}
