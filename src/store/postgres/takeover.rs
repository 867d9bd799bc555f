//! Taking over a database of postgres-es as a store.
//!
//! The old table is kept unchanged, under the name `postgres_es_events`. The events are copied, in one transaction, and get
//! positions, ids, times and digests. Rows of postgres-es have no time: `recorded_at` is the time of the migration. Their
//! order is the physical order in the table, which is that of their insertion unless rows were moved; where it contradicts
//! the sequences of an aggregate, the events are ordered by aggregate.
//!
//! - Of the payload `{"NameAdded": {…}}` the content of the variant is kept, byte for byte.
//! - The event type `NameAdded` of a `customer` becomes `customer.NameAdded`: a variant declares `was("NameAdded")`, or
//!   `was("customer.NameAdded")` in an enum of another name.
//! - The aggregate type `BankAccount` becomes `bank_account`; one that is valid already stays.
//! - Metadata without an actor is nested in new metadata with the actor `system:postgres-es`.
//! - Each event gets a command of its own, with the event's id and the name `postgres-es`.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::{Connection, Executor, PgConnection, Row};
use uuid::Uuid;

use super::location::{SchemaLocation, quoted};
use super::rows::{Micros, signed};
use super::schema::{self, State};
use crate::events::{Metadata, Ref};
use crate::store::{NewEvent, OpenOptions, StoreError, digest_of};

const DOING: &str = "taking over the events of postgres-es";
const OLD: &str = "postgres_es_events";
/// How many rows are in memory at a time.
const PAGE: usize = 1_000;
/// The actor of events whose metadata names none.
const ACTOR: &str = "system:postgres-es";
/// The command of each event.
const COMMAND: &str = "postgres-es";

/// The result of [`migrate`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// The number of events.
    pub events: u64,
    /// The number of aggregates.
    pub aggregates: u64,
    /// The order of the events, as text.
    pub order: &'static str,
    /// The new names of event types, by their names with postgres-es.
    pub event_types: BTreeMap<String, String>,
    /// The table of the old rows.
    pub kept: String,
}

/// Turns a schema that holds the `events` of postgres-es into a store, in one transaction.
///
/// # Errors
/// When there is no such table, a row cannot be read as one of postgres-es, or the database reports an error.
pub async fn migrate(url: &str, options: OpenOptions) -> Result<Migrated, StoreError> {
    let location = SchemaLocation::parse(url)?;
    let mut connection = location.connect().await?;
    let mut transaction = connection.begin().await.map_err(|error| location.fault(DOING, error))?;
    schema::lock(&location, &mut transaction).await?;
    match schema::inspect(&location, &mut transaction).await? {
        State::PostgresEs => {}
        State::Ours { .. } => {
            return Err(location.unusable("it is a store already: there is nothing to migrate".to_owned()));
        }
        State::Empty => {
            let reason = "there is no table `events` to migrate: see the URL's database and `?schema=`";
            return Err(location.unusable(reason.to_owned()));
        }
        State::Foreign(what) => return Err(location.unusable(what)),
    }
    set_aside(&location, &mut transaction).await?;
    schema::run(&location, &mut transaction, 0, schema::VERSION).await?;
    schema::sign(&location, &mut transaction, &options.app).await?;
    let migrated = move_rows(&location, &mut transaction, (options.clock)()).await?;
    transaction.commit().await.map_err(|error| location.after_sending(DOING, error))?;
    Ok(migrated)
}

/// Returns postgres-es's repository of the rows that [`migrate`] kept, to compare them with the log. The `search_path` of
/// the pool's connections names the schema.
#[must_use]
pub fn kept_events(pool: sqlx::PgPool) -> postgres_es::PostgresEventRepository {
    postgres_es::PostgresEventRepository::new(pool).with_tables(OLD, "snapshots")
}

/// Renames the table and its indexes, whose names the store needs.
async fn set_aside(location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), StoreError> {
    schema::execute(location, connection, &format!("ALTER TABLE {{schema}}.events RENAME TO {OLD}")).await?;
    let sql = location.sql(&format!(
        "SELECT i.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         WHERE x.indrelid = '{{schema}}.{OLD}'::regclass"
    ));
    let indexes = connection.fetch_all(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    for index in indexes {
        let name: String = index.try_get(0).map_err(|error| location.fault(DOING, error))?;
        let sql = format!(
            "ALTER INDEX {{schema}}.{} RENAME TO {}",
            quoted(&name),
            quoted(&format!("postgres_es_{name}"))
        );
        schema::execute(location, connection, &sql).await?;
    }
    Ok(())
}

/// Returns one value about the old rows.
async fn ask<T>(location: &SchemaLocation, connection: &mut PgConnection, sql: &str) -> Result<T, StoreError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let sql = location.sql(sql);
    let row = connection.fetch_one(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    row.try_get(0).map_err(|error| location.fault(DOING, error))
}

async fn move_rows(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    now: jiff::Timestamp,
) -> Result<Migrated, StoreError> {
    let gap: Option<String> = ask(
        location,
        connection,
        &format!(
            "SELECT min(name) FROM (SELECT aggregate_type || ' ' || aggregate_id AS name FROM {{schema}}.{OLD} \
             GROUP BY aggregate_type, aggregate_id HAVING min(sequence) <> 1 OR max(sequence) <> count(*)) gaps"
        ),
    )
    .await?;
    if let Some(name) = gap {
        return Err(location.unusable(format!("the sequences of `{name}` are not 1, 2, 3 …: events are missing")));
    }
    let physical: bool = ask(
        location,
        connection,
        &format!(
            "SELECT NOT EXISTS (SELECT FROM (SELECT sequence, lag(sequence) OVER \
             (PARTITION BY aggregate_type, aggregate_id ORDER BY ctid) AS before FROM {{schema}}.{OLD}) o \
             WHERE before > sequence)"
        ),
    )
    .await?;
    let aggregates: i64 = ask(
        location,
        connection,
        &format!("SELECT count(DISTINCT (aggregate_type, aggregate_id)) FROM {{schema}}.{OLD}"),
    )
    .await?;
    let (order, by) = match physical {
        true => ("as they lay in the table, which agrees with the sequences of every aggregate", "ctid"),
        false => (
            "by aggregate type, aggregate id and sequence: as they lay in the table contradicts the sequences",
            "aggregate_type COLLATE \"C\", aggregate_id COLLATE \"C\", sequence",
        ),
    };
    let declare = format!(
        "DECLARE old NO SCROLL CURSOR FOR SELECT aggregate_type, aggregate_id, sequence, event_type, event_version, \
         payload::text, metadata::text FROM {{schema}}.{OLD} ORDER BY {by}"
    );
    schema::execute(location, connection, &declare).await?;
    let mut migration = Migration { now, position: 0, kinds: BTreeMap::new(), event_types: BTreeMap::new() };
    let fetch = format!("FETCH {PAGE} FROM old");
    loop {
        let rows = connection.fetch_all(fetch.as_str()).await.map_err(|error| location.fault(DOING, error))?;
        if rows.is_empty() {
            break;
        }
        let mut page = Rows::default();
        for row in &rows {
            let old = Old::read(row).map_err(|error| location.fault(DOING, error))?;
            migration.take(&old, &mut page).map_err(|reason| {
                let Old { kind, id, sequence, .. } = &old;
                location.unusable(format!("event {sequence} of `{kind}` `{id}` cannot be taken over: {reason}"))
            })?;
        }
        page.insert(location, connection).await.map_err(|error| location.fault(DOING, error))?;
    }
    Ok(Migrated {
        events: migration.position,
        aggregates: u64::try_from(aggregates).unwrap_or(0),
        order,
        event_types: migration.event_types,
        kept: OLD.to_owned(),
    })
}

/// A row of postgres-es.
struct Old {
    kind: String,
    id: String,
    sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    metadata: String,
}

impl Old {
    fn read(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            kind: row.try_get(0)?,
            id: row.try_get(1)?,
            sequence: row.try_get(2)?,
            event_type: row.try_get(3)?,
            event_version: row.try_get(4)?,
            payload: row.try_get(5)?,
            metadata: row.try_get(6)?,
        })
    }
}

struct Migration {
    now: jiff::Timestamp,
    /// The last position.
    position: u64,
    /// The old names of aggregate types, by their new names.
    kinds: BTreeMap<String, String>,
    event_types: BTreeMap<String, String>,
}

impl Migration {
    fn take(&mut self, old: &Old, rows: &mut Rows) -> Result<(), String> {
        let kind = kind(&old.kind);
        let aggregate = Ref::new(&kind, &old.id).map_err(|error| error.to_string())?;
        let was = self.kinds.entry(kind).or_insert_with(|| old.kind.clone());
        if *was != old.kind {
            return Err(format!("`{was}` and `{}` would both be called `{}`", old.kind, aggregate.kind()));
        }
        let event_type = match old.event_type.contains('.') {
            true => old.event_type.clone(),
            false => format!("{}.{}", aggregate.kind(), old.event_type),
        };
        self.event_types.insert(old.event_type.clone(), event_type.clone());
        let event = NewEvent::new(event_type, old.event_version.clone(), content(&old.payload)?);
        let metadata = metadata(&old.metadata)?;
        self.position += 1;
        let event_id = event_id(self.now, self.position);
        let sequence = u64::try_from(old.sequence).map_err(|error| error.to_string())?;
        rows.digests.push(digest_of(&aggregate, sequence, &event, &metadata, event_id, None).to_vec());
        rows.bodies.push(Sha256::digest(&old.payload).to_vec());
        rows.kinds.push(aggregate.kind().to_owned());
        rows.ids.push(aggregate.id().to_owned());
        rows.sequences.push(old.sequence);
        rows.types.push(event.event_type().to_owned());
        rows.versions.push(event.event_version().to_owned());
        rows.payloads.push(event.payload().to_owned());
        rows.metadata.push(metadata);
        rows.positions.push(signed(self.position));
        rows.event_ids.push(event_id);
        rows.recorded.push(Micros::of(self.now));
        Ok(())
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
    recorded: Vec<Micros>,
    digests: Vec<Vec<u8>>,
    bodies: Vec<Vec<u8>>,
}

impl Rows {
    async fn insert(&self, location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let events = location.sql(
            "INSERT INTO {schema}.events SELECT e.kind, e.id, e.sequence, e.type, e.version, e.payload::json, \
             e.metadata::json, e.position, e.event_id, e.event_id, e.recorded, e.recorded, e.digest FROM \
             unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], \
             $8::bigint[], $9::uuid[], $10::timestamptz[], $11::bytea[]) AS \
             e (kind, id, sequence, type, version, payload, metadata, position, event_id, recorded, digest)",
        );
        let query = sqlx::query(&events).persistent(false).bind(&self.kinds).bind(&self.ids).bind(&self.sequences);
        let query = query.bind(&self.types).bind(&self.versions).bind(&self.payloads).bind(&self.metadata);
        let query = query.bind(&self.positions).bind(&self.event_ids).bind(&self.recorded).bind(&self.digests);
        query.execute(&mut *connection).await?;
        let commands = location.sql(
            "INSERT INTO {schema}.commands SELECT c.id, $5, c.body, c.position, 1, c.position, c.id, c.recorded FROM \
             unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::timestamptz[]) AS c (id, body, position, recorded)",
        );
        let query = sqlx::query(&commands).persistent(false).bind(&self.event_ids).bind(&self.bodies);
        query.bind(&self.positions).bind(&self.recorded).bind(COMMAND).execute(connection).await?;
        Ok(())
    }
}

/// Returns `BankAccount` in snake case: `bank_account`.
fn kind(text: &str) -> String {
    let mut kind = String::with_capacity(text.len() + 4);
    let mut last_lower = false;
    for letter in text.chars() {
        if letter.is_uppercase() && last_lower {
            kind.push('_');
        }
        last_lower = letter.is_lowercase() || letter.is_ascii_digit();
        kind.extend(letter.to_lowercase());
    }
    kind
}

/// Returns the content of the variant of an enum in serde's default form, byte for byte.
fn content(payload: &str) -> Result<String, String> {
    if serde_json::from_str::<String>(payload).is_ok() {
        return Ok("{}".to_owned());
    }
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(payload) {
        Ok(tagged) if tagged.len() == 1 => {
            Ok(tagged.into_values().next().map(|content| content.get().to_owned()).unwrap_or_default())
        }
        _ => Err("its payload is not a variant of an enum in serde's default form".to_owned()),
    }
}

/// Returns metadata that names an actor.
fn metadata(text: &str) -> Result<String, String> {
    if serde_json::from_str::<Metadata>(text).is_ok() {
        return Ok(text.to_owned());
    }
    // Parsed to be sure that it is valid JSON.
    let old: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("its metadata cannot be read: {error}"))?;
    Ok(format!(r#"{{"actor":"{ACTOR}","postgres_es":{}}}"#, old.get()))
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
    fn a_kind_is_made_of_a_rust_name_and_stays_if_it_is_one() {
        for (old, new) in [("BankAccount", "bank_account"), ("account", "account"), ("Customer", "customer")] {
            assert_eq!(kind(old), new);
        }
    }

    #[test]
    fn the_variants_content_is_taken_byte_for_byte() {
        assert_eq!(content(r#"{"Added": { "by" : 1.50 }}"#).unwrap(), r#"{ "by" : 1.50 }"#);
        assert_eq!(content(r#""Closed""#).unwrap(), "{}");
        assert_eq!(content(r#"{"Moved": 5}"#).unwrap(), "5");
        for other in [r#"{"type":"added","by":1}"#, "5", "[]", "{}"] {
            assert!(content(other).is_err(), "{other}");
        }
    }

    #[test]
    fn metadata_without_an_actor_is_kept_inside_of_one_with() {
        let with = r#"{ "actor":"user:alice", "more": 1 }"#;
        assert_eq!(metadata(with).unwrap(), with);
        let without = metadata(r#"{ "time":"now" }"#).unwrap();
        assert_eq!(without, r#"{"actor":"system:postgres-es","postgres_es":{ "time":"now" }}"#);
        assert_eq!(serde_json::from_str::<Metadata>(&without).unwrap().actor.to_string(), ACTOR);
    }

    #[test]
    fn ids_rise_with_the_position() {
        let now = jiff::Timestamp::from_microsecond(1_735_689_600_000_000).unwrap();
        let ids: Vec<Uuid> = [1, 2, 1 << 30, (1 << 30) + 1, 1 << 31].map(|position| event_id(now, position)).into();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
    }
}
