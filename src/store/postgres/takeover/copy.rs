//! Copies the old rows into the log, in their order.

use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::location::SchemaLocation;
use super::super::rows::{Micros, signed};
use super::convert::{Converted, Converter};
use super::mapping::OldEvent;
use super::table::Pages;
use super::{COMMAND, DOING};
use crate::store::{StoreError, digest_of};

/// Copies the rows of `from`, the table with its order. Returns their number.
pub(super) async fn copy(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    from: &str,
    mut converter: Converter<'_>,
    now: jiff::Timestamp,
) -> Result<u64, StoreError> {
    let mut pages = Pages::open(location, connection, from).await?;
    let mut position = 0;
    loop {
        let page = pages.next(connection).await?;
        if page.is_empty() {
            return Ok(position);
        }
        let mut rows = Rows::default();
        for old in &page {
            // All rows were converted before: this is one that changed although its table is locked.
            let converted =
                converter.convert(old).map_err(|reason| location.unusable(format!("{old}: {reason}")))?;
            position += 1;
            rows.add(old, converted, position, now);
        }
        rows.insert(location, connection).await.map_err(|error| location.fault(DOING, error))?;
    }
}

/// Rows of the new tables.
#[derive(Default)]
struct Rows {
    kinds: Vec<String>,
    ids: Vec<String>,
    sequences: Vec<i64>,
    types: Vec<String>,
    versions: Vec<String>,
    payloads: Vec<String>,
    metadata: Vec<String>,
    positions: Vec<i64>,
    event_ids: Vec<Uuid>,
    occurred: Vec<Micros>,
    recorded: Vec<Micros>,
    digests: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Rows {
    fn add(&mut self, old: &OldEvent, converted: Converted, position: u64, now: jiff::Timestamp) {
        let Converted { aggregate, event, metadata, time, .. } = converted;
        let (event_id, occurred_at) = (event_id(now, position), time.and_then(Result::ok));
        let sequence = old.sequence.cast_unsigned();
        self.digests.push(digest_of(&aggregate, sequence, &event, &metadata, event_id, occurred_at).to_vec());
        self.bodies.push(Sha256::digest(&old.payload).to_vec());
        self.kinds.push(aggregate.kind().to_owned());
        self.ids.push(aggregate.id().to_owned());
        self.sequences.push(old.sequence);
        self.types.push(event.event_type().to_owned());
        self.versions.push(event.event_version().to_owned());
        self.payloads.push(event.payload().to_owned());
        self.metadata.push(metadata);
        self.positions.push(signed(position));
        self.event_ids.push(event_id);
        self.occurred.push(Micros::of(occurred_at.unwrap_or(now)));
        self.recorded.push(Micros::of(now));
    }

    async fn insert(&self, location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let events = location.sql(
            "INSERT INTO {schema}.events SELECT e.kind, e.id, e.sequence, e.type, e.version, e.payload::json, \
             e.metadata::json, e.position, e.event_id, e.event_id, e.occurred, e.recorded, e.digest FROM \
             unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], \
             $8::bigint[], $9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::bytea[]) AS \
             e (kind, id, sequence, type, version, payload, metadata, position, event_id, occurred, recorded, digest)",
        );
        let query = sqlx::query(&events).persistent(false).bind(&self.kinds).bind(&self.ids).bind(&self.sequences);
        let query = query.bind(&self.types).bind(&self.versions).bind(&self.payloads).bind(&self.metadata);
        let query = query.bind(&self.positions).bind(&self.event_ids).bind(&self.occurred).bind(&self.recorded);
        query.bind(&self.digests).execute(&mut *connection).await?;
        let commands = location.sql(
            "INSERT INTO {schema}.commands SELECT c.id, $5, c.body, c.position, 1, c.position, c.id, c.recorded FROM \
             unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::timestamptz[]) AS c (id, body, position, recorded)",
        );
        let query = sqlx::query(&commands).persistent(false).bind(&self.event_ids).bind(&self.bodies);
        query.bind(&self.positions).bind(&self.recorded).bind(COMMAND).execute(connection).await?;
        Ok(())
    }
}

/// Returns a UUIDv7 of this time that rises with the position: 42 bits of the position, 32 random bits.
fn event_id(now: jiff::Timestamp, position: u64) -> Uuid {
    let milliseconds = u128::try_from(now.as_millisecond()).unwrap_or(0);
    let (position, chance) = (u128::from(position), Uuid::new_v4().as_u128() & 0xffff_ffff);
    let bits = milliseconds << 80 | (position >> 30 & 0xfff) << 64 | (position & 0x3fff_ffff) << 32 | chance;
    uuid::Builder::from_u128(bits)
        .with_version(uuid::Version::SortRand)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_with_the_position() {
        let now = jiff::Timestamp::from_microsecond(1_735_689_600_000_000).unwrap();
        let ids: Vec<Uuid> = [1, 2, 1 << 30, (1 << 30) + 1, 1 << 31].map(|position| event_id(now, position)).into();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
    }
}
