//! Generations and their checkpoints, in the table `projections`. Each function runs in the caller's transaction.

use sqlx::postgres::PgRow;
use sqlx::{Executor, PgConnection, Row as _};
use uuid::Uuid;

use super::super::location::SchemaLocation;
use super::leases::LATEST;
use super::names;
use crate::events::LogPosition;
use crate::store::{GenerationId, GenerationInfo, NoteKind};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// How long the tables of a formerly live generation remain after the switch: within it a reader that found it live has
/// taken its lock.
const LINGER: &str = "interval '10 seconds'";

const COLUMNS: &str = "SELECT name, version, generation, position, event_id FROM {schema}.projections ";

/// The advisory lock of a generation: readers share it, and the process that drops the tables takes it exclusively.
const KEY: &str = "hashtextextended(format('annals %s %s %s %s', $1::text, p.name, p.version, p.generation), 0)";

fn generation(row: &PgRow) -> Result<(GenerationId, LogPosition)> {
    let generation_id = GenerationId {
        name: row.try_get(0)?,
        version: unsigned(row.try_get(1)?),
        generation: unsigned(row.try_get(2)?),
    };
    Ok((generation_id, LogPosition { position: unsigned(row.try_get(3)?), event_id: row.try_get(4)? }))
}

/// Converts a version to its bigint.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

/// Builds a query with its values.
macro_rules! ask {
    ($location:expr, $sql:expr $(, $value:expr)* $(,)?) => {{
        // The text outlives the query.
        let sql: &str = $sql;
        sqlx::query(sql).persistent(!$location.pooler())$(.bind($value))*
    }};
}
pub(super) use ask;

/// Returns the live generation.
pub(super) async fn live(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<Option<(GenerationId, LogPosition)>> {
    let sql = location.sql(&format!("{COLUMNS} WHERE name = $1 AND version = $2 AND live"));
    ask!(location, &sql, name, signed(version)).fetch_optional(on).await?.as_ref().map(generation).transpose()
}

/// Returns the live generation for a reader, and keeps its tables until the transaction ends.
pub(super) async fn live_to_read(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<Option<(GenerationId, LogPosition)>> {
    let sql = location.sql(&format!(
        "SELECT p.name, p.version, p.generation, p.position, p.event_id, pg_advisory_xact_lock_shared({KEY}) \
         FROM {{schema}}.projections p WHERE p.name = $2 AND p.version = $3 AND p.live"
    ));
    let asked = ask!(location, &sql, location.plain_schema(), name, signed(version));
    asked.fetch_optional(on).await?.as_ref().map(generation).transpose()
}

/// Returns the live generation. Creates one if there is none.
pub(super) async fn ensure_live(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<(GenerationId, LogPosition)> {
    if let Some(live) = live(location, on, name, version).await? {
        return Ok(live);
    }
    insert(location, on, name, version, true).await
}

/// Creates a generation with the next number.
async fn insert(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
    live: bool,
) -> Result<(GenerationId, LogPosition)> {
    // The number of a generation whose tables still exist is not used again.
    let sql = location.sql(
        "INSERT INTO {schema}.projections (name, version, generation, live, position, event_id) \
         SELECT $1, $2, coalesce(max(generation), 0) + 1, $3, 0, $4 FROM {schema}.projections \
         WHERE name = $1 AND version = $2 \
         RETURNING name, version, generation, position, event_id",
    );
    let asked = ask!(location, &sql, name, signed(version), live, Uuid::nil());
    generation(&asked.fetch_one(on).await?)
}

pub(super) async fn checkpoint(
    location: &SchemaLocation,
    on: &mut PgConnection,
    generation_id: &GenerationId,
) -> Result<Option<LogPosition>> {
    let sql =
        location.sql(&format!("{COLUMNS} WHERE name = $1 AND version = $2 AND generation = $3 AND doomed IS NULL"));
    let GenerationId { name, version, generation: number } = generation_id;
    let found = ask!(location, &sql, name, signed(*version), signed(*number)).fetch_optional(on).await?;
    Ok(found.as_ref().map(generation).transpose()?.map(|(_, head)| head))
}

/// Moves the checkpoint, if it is at the expected position: the fence.
///
/// The event that it moves to must be in the log of this server: its batch may have been read before a failover, from a server
/// with a tail that this one never had. (A rebuild may mark a checkpoint as lost, at 0. Where the log is empty, nothing tells a lost
/// tail from a store that is only views.)
pub(super) async fn advance(
    location: &SchemaLocation,
    on: &mut PgConnection,
    generation_id: &GenerationId,
    from: LogPosition,
    to: LogPosition,
) -> Result<bool> {
    let sql = location.sql(
        "UPDATE {schema}.projections SET position = $1, event_id = $2 WHERE name = $3 AND version = $4 \
         AND generation = $5 AND position = $6 AND event_id = $7 AND doomed IS NULL AND ($1 IN (0, $6) \
             OR EXISTS (SELECT FROM {schema}.events e WHERE e.position = $1 AND e.event_id = $2) \
             OR NOT EXISTS (SELECT FROM {schema}.events))",
    );
    let asked = ask!(
        location,
        &sql,
        signed(to.position),
        to.event_id,
        &generation_id.name,
        signed(generation_id.version),
        signed(generation_id.generation),
        signed(from.position),
        from.event_id,
    );
    Ok(asked.execute(on).await?.rows_affected() == 1)
}

/// Returns the generation that an earlier rebuild left, or creates one.
pub(super) async fn shadow(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<(GenerationId, LogPosition)> {
    ensure_live(location, on, name, version).await?;
    let sql = location.sql(&format!(
        "{COLUMNS} WHERE name = $1 AND version = $2 AND NOT live AND doomed IS NULL ORDER BY generation DESC LIMIT 1"
    ));
    match ask!(location, &sql, name, signed(version)).fetch_optional(&mut *on).await? {
        Some(left) => generation(&left),
        None => insert(location, on, name, version, false).await,
    }
}

/// Makes a generation live. Returns `false` if there is none, or it is behind the live one.
pub(super) async fn switch(
    location: &SchemaLocation,
    on: &mut PgConnection,
    shadow: &GenerationId,
) -> Result<bool> {
    let GenerationId { name, version, generation: number } = shadow;
    // Locks all rows, so that no checkpoint moves meanwhile.
    let sql = location.sql(
        "SELECT generation, position, live FROM {schema}.projections \
         WHERE name = $1 AND version = $2 AND doomed IS NULL ORDER BY generation FOR UPDATE",
    );
    let rows = ask!(location, &sql, name, signed(*version)).fetch_all(&mut *on).await?;
    let (mut at, mut live_at, mut is_live) = (None, None, false);
    for row in &rows {
        let (own, position, live): (i64, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if own == signed(*number) {
            (at, is_live) = (Some(position), live);
        }
        if live {
            live_at = Some(position);
        }
    }
    if at.is_none() || at < live_at {
        return Ok(false);
    }
    if is_live {
        return Ok(true);
    }
    let others = location.sql(&format!(
        "UPDATE {{schema}}.projections SET live = false, \
         doomed = clock_timestamp() + CASE WHEN live THEN {LINGER} ELSE interval '0' END \
         WHERE name = $1 AND version = $2 AND generation <> $3 AND doomed IS NULL"
    ));
    ask!(location, &others, name, signed(*version), signed(*number)).execute(&mut *on).await?;
    let own = location
        .sql("UPDATE {schema}.projections SET live = true WHERE name = $1 AND version = $2 AND generation = $3");
    ask!(location, &own, name, signed(*version), signed(*number)).execute(on).await?;
    Ok(true)
}

/// Marks a generation for dropping. Returns `false` if it is live.
pub(super) async fn mark_dropped(
    location: &SchemaLocation,
    on: &mut PgConnection,
    generation_id: &GenerationId,
) -> Result<bool> {
    if live(location, on, &generation_id.name, generation_id.version)
        .await?
        .is_some_and(|(live, _)| live == *generation_id)
    {
        return Ok(false);
    }
    let sql = location.sql(
        "UPDATE {schema}.projections SET doomed = clock_timestamp() \
         WHERE name = $1 AND version = $2 AND generation = $3 AND NOT live AND doomed IS NULL",
    );
    let GenerationId { name, version, generation: number } = generation_id;
    ask!(location, &sql, name, signed(*version), signed(*number)).execute(on).await?;
    Ok(true)
}

/// Marks all generations of a version for dropping, and clears its notes.
pub(super) async fn mark_all_dropped(
    location: &SchemaLocation,
    on: &mut PgConnection,
    name: &str,
    version: u64,
) -> Result<()> {
    let doom = location.sql(&format!(
        "UPDATE {{schema}}.projections SET live = false, \
         doomed = clock_timestamp() + CASE WHEN live THEN {LINGER} ELSE interval '0' END \
         WHERE name = $1 AND version = $2 AND doomed IS NULL"
    ));
    ask!(location, &doom, name, signed(version)).execute(&mut *on).await?;
    let clear = location.sql("DELETE FROM {schema}.notes WHERE name = $1 AND version = $2");
    ask!(location, &clear, name, signed(version)).execute(on).await.map(drop)
}

/// Returns the generations that may be dropped now.
pub(super) async fn droppable(location: &SchemaLocation, on: &mut PgConnection) -> Result<Vec<GenerationId>> {
    let sql =
        location.sql(&format!("{COLUMNS} WHERE doomed <= clock_timestamp() ORDER BY name, version, generation"));
    let rows = ask!(location, &sql).fetch_all(on).await?;
    rows.iter().map(|row| generation(row).map(|(generation_id, _)| generation_id)).collect()
}

/// Drops the tables and the row of a generation. Returns `false` and does nothing while it has readers or another process
/// drops it.
pub(super) async fn drop_tables(
    location: &SchemaLocation,
    on: &mut PgConnection,
    generation_id: &GenerationId,
) -> Result<bool> {
    let GenerationId { name, version, generation: number } = generation_id;
    let alone = location.sql(&format!(
        "SELECT pg_try_advisory_xact_lock({KEY}) FROM {{schema}}.projections p \
         WHERE p.name = $2 AND p.version = $3 AND p.generation = $4 AND p.doomed IS NOT NULL"
    ));
    let asked = ask!(location, &alone, location.plain_schema(), name, signed(*version), signed(*number));
    let Some(row) = asked.fetch_optional(&mut *on).await? else { return Ok(true) };
    if !row.try_get::<bool, _>(0)? {
        return Ok(false);
    }
    const TABLES: &str = "SELECT c.relname::text, c.relkind::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND starts_with(c.relname::text, $2) AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1";
    let rows =
        ask!(location, TABLES, location.plain_schema(), names::prefix(generation_id)).fetch_all(&mut *on).await?;
    let mut by_kind: [Vec<String>; 3] = Default::default();
    for row in &rows {
        let (table, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let of_kind = match kind.as_str() {
            "v" => &mut by_kind[0],
            "m" => &mut by_kind[1],
            _ => &mut by_kind[2],
        };
        of_kind.push(format!("{}.{}", location.schema(), super::super::location::quoted(&table)));
    }
    for (kind, tables) in ["VIEW", "MATERIALIZED VIEW", "TABLE"].into_iter().zip(by_kind) {
        if !tables.is_empty() {
            // In one statement, because they may refer to each other.
            let drop = format!("DROP {kind} IF EXISTS {}", tables.join(", "));
            on.execute(drop.as_str()).await?;
        }
    }
    let sql = location.sql("DELETE FROM {schema}.projections WHERE name = $1 AND version = $2 AND generation = $3");
    ask!(location, &sql, name, signed(*version), signed(*number)).execute(on).await?;
    Ok(true)
}

/// Returns the tables of all generations that another role owns.
pub(in super::super) async fn tables_of_others(
    location: &SchemaLocation,
    on: &mut PgConnection,
    role: &str,
) -> Result<Vec<String>> {
    const TABLES: &str = "SELECT c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND starts_with(c.relname::text, $2) AND c.relkind IN ('r', 'p', 'v', 'm') \
         AND pg_get_userbyid(c.relowner) <> $3 ORDER BY 1";
    let sql = location.sql(COLUMNS);
    let found = ask!(location, &sql).fetch_all(&mut *on).await?;
    let mut tables = Vec::new();
    for row in &found {
        let prefix = names::prefix(&generation(row)?.0);
        for row in ask!(location, TABLES, location.plain_schema(), prefix, role).fetch_all(&mut *on).await? {
            tables.push(row.try_get(0)?);
        }
    }
    Ok(tables)
}

pub(super) async fn all(location: &SchemaLocation, on: &mut PgConnection) -> Result<Vec<GenerationInfo>> {
    let sql = location.sql(&format!(
        "SELECT p.name, p.version, p.generation, p.position, p.event_id, p.live, l.owner \
         FROM {{schema}}.projections p LEFT JOIN {{schema}}.leases l ON l.name = p.name AND l.version = p.version \
         AND l.leads AND l.until BETWEEN clock_timestamp() AND {LATEST} \
         WHERE p.doomed IS NULL ORDER BY p.name, p.version, p.generation",
    ));
    let rows = ask!(location, &sql).fetch_all(on).await?;
    let all = rows.iter().map(|row| {
        let (generation_id, head) = generation(row)?;
        Ok(GenerationInfo { id: generation_id, head, live: row.try_get(5)?, leader: row.try_get(6)? })
    });
    all.collect()
}

/// Returns the value of the column `about`.
fn word(about: NoteKind) -> &'static str {
    match about {
        NoteKind::Stop => "stop",
        NoteKind::Rebuild => "rebuild",
        NoteKind::Checkpoint => "checkpoint",
    }
}

pub(super) async fn set_note(
    location: &SchemaLocation,
    on: &mut PgConnection,
    (name, version, about): (&str, u64, NoteKind),
    note: Option<String>,
) -> Result<()> {
    let sql = location.sql(match note {
        Some(_) => {
            "INSERT INTO {schema}.notes VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name, version, about) DO UPDATE SET note = excluded.note"
        }
        None => "DELETE FROM {schema}.notes WHERE name = $1 AND version = $2 AND about = $3 AND $4::text IS NULL",
    });
    // Postgres does not store NUL.
    let note = note.map(|note| note.replace('\0', "\u{fffd}"));
    ask!(location, &sql, name, signed(version), word(about), note).execute(on).await.map(drop)
}

pub(super) async fn note(
    location: &SchemaLocation,
    on: &mut PgConnection,
    (name, version, about): (&str, u64, NoteKind),
) -> Result<Option<String>> {
    let sql = location.sql("SELECT note FROM {schema}.notes WHERE name = $1 AND version = $2 AND about = $3");
    let found = ask!(location, &sql, name, signed(version), word(about)).fetch_optional(on).await?;
    found.map(|row| row.try_get(0)).transpose()
}
