//! Snapshots of aggregates.

use sqlx::{PgConnection, Row as _};

use super::super::location::SchemaLocation;
use super::generations::{ask, signed, unsigned};
use crate::events::Ref;
use crate::store::{HashChain, Snapshot};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Finds the snapshot of an aggregate.
pub(super) async fn find(
    location: &SchemaLocation,
    on: &mut PgConnection,
    aggregate: &Ref,
) -> Result<Option<Snapshot>> {
    let sql = location.sql(
        "SELECT sequence, event_id, digest, shape, state FROM {schema}.aggregate_snapshots \
         WHERE aggregate_type = $1 AND aggregate_id = $2",
    );
    let found = ask!(location, &sql, aggregate.kind(), aggregate.id()).fetch_optional(on).await?;
    let snapshot = found.map(|row| {
        let digest = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(2)?);
        Ok(Snapshot {
            sequence: unsigned(row.try_get(0)?),
            event_id: row.try_get(1)?,
            digest: HashChain::from_bytes(digest.map_err(|error| sqlx::Error::Decode(error.into()))?),
            shape: row.try_get(3)?,
            state: row.try_get(4)?,
        })
    });
    snapshot.transpose()
}

/// Saves a snapshot, unless there is a newer one of the same shape.
pub(super) async fn keep(
    location: &SchemaLocation,
    on: &mut PgConnection,
    aggregate: &Ref,
    snapshot: &Snapshot,
) -> Result<()> {
    let sql = location.sql(
        "INSERT INTO {schema}.aggregate_snapshots AS kept \
             (aggregate_type, aggregate_id, sequence, event_id, digest, shape, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE \
         SET sequence = excluded.sequence, event_id = excluded.event_id, digest = excluded.digest, \
             shape = excluded.shape, state = excluded.state \
         WHERE excluded.shape <> kept.shape OR excluded.sequence >= kept.sequence \
            OR excluded.event_id > kept.event_id",
    );
    let Snapshot { sequence, event_id, digest, shape, state } = snapshot;
    let (sequence, digest) = (signed(*sequence), digest.as_bytes().as_slice());
    let asked = ask!(location, &sql, aggregate.kind(), aggregate.id(), sequence, event_id, digest, shape, state);
    asked.execute(on).await.map(drop)
}

/// Lists the aggregates that have a snapshot. Invalid references, which no program asks for, are left out.
pub(super) async fn all(location: &SchemaLocation, on: &mut PgConnection) -> Result<Vec<Ref>> {
    let sql = location.sql("SELECT aggregate_type, aggregate_id FROM {schema}.aggregate_snapshots ORDER BY 1, 2");
    let rows = ask!(location, &sql).fetch_all(on).await?;
    let aggregate = |row: &sqlx::postgres::PgRow| Ok(Ref::new(row.try_get(0)?, row.try_get(1)?).ok());
    rows.iter().filter_map(|row| aggregate(row).transpose()).collect()
}

/// Deletes all snapshots.
pub(super) async fn clear(location: &SchemaLocation, on: &mut PgConnection) -> Result<u64> {
    let sql = location.sql("DELETE FROM {schema}.aggregate_snapshots");
    Ok(ask!(location, &sql).execute(on).await?.rows_affected())
}
