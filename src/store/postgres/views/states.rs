//! Cached states of aggregates.

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::super::place::Place;
use super::generations::{ask, signed, unsigned};
use crate::events::Ref;
use crate::store::Snapshot;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The snapshot of an aggregate, and the id of its last event when it was kept.
pub(super) async fn find(
    place: &Place,
    on: &mut PgConnection,
    aggregate: &Ref,
) -> Result<Option<(Snapshot, Uuid)>> {
    let sql = place.sql(
        "SELECT sequence, shape, state, event_id FROM {schema}.aggregate_snapshots \
         WHERE aggregate_type = $1 AND aggregate_id = $2",
    );
    let found = ask!(place, &sql, aggregate.kind(), aggregate.id()).fetch_optional(on).await?;
    let snapshot = found.map(|row| {
        let sequence = unsigned(row.try_get(0)?);
        Ok((Snapshot { sequence, shape: row.try_get(1)?, state: row.try_get(2)? }, row.try_get(3)?))
    });
    snapshot.transpose()
}

/// The last word counts, unless it is of the same shape and older.
pub(super) async fn keep(
    place: &Place,
    on: &mut PgConnection,
    aggregate: &Ref,
    snapshot: &Snapshot,
    event_id: Uuid,
) -> Result<()> {
    let sql = place.sql(
        "INSERT INTO {schema}.aggregate_snapshots AS kept VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE \
         SET sequence = excluded.sequence, event_id = excluded.event_id, shape = excluded.shape, \
             state = excluded.state \
         WHERE excluded.shape <> kept.shape OR excluded.sequence >= kept.sequence \
            OR excluded.event_id > kept.event_id",
    );
    let Snapshot { sequence, shape, state } = snapshot;
    let asked = ask!(place, &sql, aggregate.kind(), aggregate.id(), signed(*sequence), event_id, shape, state);
    asked.execute(on).await.map(drop)
}
