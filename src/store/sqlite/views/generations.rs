//! Generations and their checkpoints, in the table `projections`.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{leases, names};
use crate::events::LogPosition;
use crate::store::{GenerationId, GenerationInfo, NoteKind};

const COLUMNS: &str = "SELECT name, version, generation, position, event_id FROM projections ";

fn generation(row: &Row<'_>) -> rusqlite::Result<(GenerationId, LogPosition)> {
    let generation_id = GenerationId { name: row.get(0)?, version: row.get(1)?, generation: row.get(2)? };
    Ok((generation_id, LogPosition { position: row.get(3)?, event_id: row.get(4)? }))
}

fn insert(connection: &Connection, generation_id: &GenerationId, live: bool) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO projections (name, version, generation, live, position, event_id) \
         VALUES (?1, ?2, ?3, ?4, 0, ?5)";
    let GenerationId { name, version, generation } = generation_id;
    let nil = LogPosition::default().event_id;
    connection.execute(INSERT, params![name, version, generation, live, nil]).map(drop)
}

/// Returns the live generation.
pub(super) fn live(
    connection: &Connection,
    name: &str,
    version: u64,
) -> rusqlite::Result<Option<(GenerationId, LogPosition)>> {
    let sql = format!("{COLUMNS} WHERE name = ?1 AND version = ?2 AND live");
    connection.prepare_cached(&sql)?.query_row(params![name, version], generation).optional()
}

/// Returns the live generation. Creates one if there is none.
pub(super) fn ensure_live(
    connection: &Connection,
    name: &str,
    version: u64,
) -> rusqlite::Result<Option<(GenerationId, LogPosition)>> {
    if let Some(live) = live(connection, name, version)? {
        return Ok(Some(live));
    }
    insert(connection, &GenerationId { name: name.to_owned(), version, generation: 1 }, true)?;
    live(connection, name, version)
}

pub(super) fn checkpoint(
    connection: &Connection,
    generation_id: &GenerationId,
) -> rusqlite::Result<Option<LogPosition>> {
    let sql = format!("{COLUMNS} WHERE name = ?1 AND version = ?2 AND generation = ?3");
    let GenerationId { name, version, generation: number } = generation_id;
    let found =
        connection.prepare_cached(&sql)?.query_row(params![name, version, number], generation).optional()?;
    Ok(found.map(|(_, head)| head))
}

/// Moves the checkpoint, if it is at the expected position: the fence.
pub(super) fn advance(
    connection: &Connection,
    generation_id: &GenerationId,
    from: LogPosition,
    to: LogPosition,
) -> rusqlite::Result<bool> {
    const ADVANCE: &str = "UPDATE projections SET position = ?1, event_id = ?2 WHERE name = ?3 AND version = ?4 \
         AND generation = ?5 AND position = ?6 AND event_id = ?7";
    let GenerationId { name, version, generation } = generation_id;
    let moved = connection.prepare_cached(ADVANCE)?.execute(params![
        to.position,
        to.event_id,
        name,
        version,
        generation,
        from.position,
        from.event_id
    ])?;
    Ok(moved == 1)
}

/// Returns the generation that an earlier rebuild left, or creates one.
pub(super) fn shadow(
    connection: &Connection,
    name: &str,
    version: u64,
) -> rusqlite::Result<(GenerationId, LogPosition)> {
    ensure_live(connection, name, version)?;
    let sql = format!("{COLUMNS} WHERE name = ?1 AND version = ?2 AND NOT live ORDER BY generation DESC LIMIT 1");
    if let Some(left) = connection.query_row(&sql, params![name, version], generation).optional()? {
        return Ok(left);
    }
    const NEXT: &str = "SELECT max(generation) + 1 FROM projections WHERE name = ?1 AND version = ?2";
    let generation = connection.query_row(NEXT, params![name, version], |row| row.get(0))?;
    let generation_id = GenerationId { name: name.to_owned(), version, generation };
    insert(connection, &generation_id, false)?;
    Ok((generation_id, LogPosition::default()))
}

/// Makes a generation live. Returns `None` if there is none, or it is behind the live one.
pub(super) fn switch(connection: &Connection, shadow: &GenerationId) -> rusqlite::Result<Option<()>> {
    let GenerationId { name, version, generation } = shadow;
    let Some(head) = checkpoint(connection, shadow)? else { return Ok(None) };
    match live(connection, name, *version)? {
        Some((live, _)) if live == *shadow => return Ok(Some(())),
        Some((_, at)) if head.position < at.position => return Ok(None),
        _ => {}
    }
    const OTHERS: &str = "SELECT generation FROM projections WHERE name = ?1 AND version = ?2 AND generation <> ?3";
    let others: Vec<u64> = connection
        .prepare_cached(OTHERS)?
        .query_map(params![name, version, generation], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for other in others {
        remove(connection, &GenerationId { generation: other, ..shadow.clone() })?;
    }
    const LIVE: &str = "UPDATE projections SET live = 1 WHERE name = ?1 AND version = ?2 AND generation = ?3";
    connection.execute(LIVE, params![name, version, generation])?;
    Ok(Some(()))
}

/// Drops a generation. Returns `None` if it is live.
pub(super) fn discard(connection: &Connection, generation_id: &GenerationId) -> rusqlite::Result<Option<()>> {
    match live(connection, &generation_id.name, generation_id.version)? {
        Some((live, _)) if live == *generation_id => Ok(None),
        _ => remove(connection, generation_id).map(Some),
    }
}

/// Drops the row and all tables of a generation.
fn remove(connection: &Connection, generation_id: &GenerationId) -> rusqlite::Result<()> {
    // Virtual tables first: dropping them drops their own tables.
    const TABLES: &str = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') \
         AND substr(name, 1, length(?1)) = ?1 ORDER BY type = 'view' DESC, sql LIKE 'CREATE VIRTUAL%' DESC";
    let prefix = names::prefix(generation_id);
    let tables: Vec<(String, String)> = connection
        .prepare_cached(TABLES)?
        .query_map([&prefix], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (table, kind) in tables {
        connection.execute_batch(&format!("DROP {kind} IF EXISTS {}", names::table("", &table)))?;
    }
    let GenerationId { name, version, generation } = generation_id;
    const ROW: &str = "DELETE FROM projections WHERE name = ?1 AND version = ?2 AND generation = ?3";
    connection.execute(ROW, params![name, version, generation]).map(drop)
}

/// Returns all generations of all projections with their leaders.
pub(super) fn all(connection: &Connection, now: i64) -> rusqlite::Result<Vec<GenerationInfo>> {
    const ALL: &str = "SELECT p.name, p.version, p.generation, p.position, p.event_id, p.live, l.owner \
         FROM projections p LEFT JOIN leases l \
         ON l.name = p.name AND l.version = p.version AND l.leads AND l.until > ?1 AND l.renewed <= ?1 \
         ORDER BY p.name, p.version, p.generation";
    let row = |row: &Row<'_>| {
        let (generation_id, head) = generation(row)?;
        Ok(GenerationInfo { id: generation_id, head, live: row.get(5)?, leader: row.get(6)? })
    };
    connection.prepare_cached(ALL)?.query_map([now], row)?.collect()
}

/// Drops a version of a projection. Returns `None` if a live owner wants it.
pub(super) fn prune(connection: &Connection, name: &str, version: u64, now: i64) -> rusqlite::Result<Option<()>> {
    if leases::is_wanted(connection, name, version, now)? {
        return Ok(None);
    }
    const OF_VERSION: &str = "SELECT generation FROM projections WHERE name = ?1 AND version = ?2";
    let generations: Vec<u64> = connection
        .prepare_cached(OF_VERSION)?
        .query_map(params![name, version], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for generation in generations {
        remove(connection, &GenerationId { name: name.to_owned(), version, generation })?;
    }
    for table in ["notes", "leases"] {
        let sql = format!("DELETE FROM {table} WHERE name = ?1 AND version = ?2");
        connection.execute(&sql, params![name, version])?;
    }
    Ok(Some(()))
}

pub(super) fn set_note(
    connection: &Connection,
    name: &str,
    version: u64,
    about: NoteKind,
    note: Option<String>,
) -> rusqlite::Result<()> {
    match note {
        Some(note) => connection.execute(
            "INSERT INTO notes VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (name, version, about) DO UPDATE SET note = excluded.note",
            params![name, version, word(about), note],
        )?,
        None => connection.execute(
            "DELETE FROM notes WHERE name = ?1 AND version = ?2 AND about = ?3",
            params![name, version, word(about)],
        )?,
    };
    Ok(())
}

/// Returns the value of the column `about`.
fn word(about: NoteKind) -> &'static str {
    match about {
        NoteKind::Stop => "stop",
        NoteKind::Rebuild => "rebuild",
        NoteKind::Checkpoint => "checkpoint",
    }
}

pub(super) fn note(
    connection: &Connection,
    name: &str,
    version: u64,
    about: NoteKind,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT note FROM notes WHERE name = ?1 AND version = ?2 AND about = ?3")?
        .query_row(params![name, version, word(about)], |row| row.get(0))
        .optional()
}
