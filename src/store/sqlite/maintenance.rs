//! Backup and integrity check.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::database_file::{Kind, LOG, pragma_number};
use super::location::FileLocation;
use super::partial_backup::PartialBackup;
use crate::store::{Finding, FindingKind, StoreError};

pub(super) const BACKUP: &str = "making a backup";
/// The number of pages copied between two calls of `progress`.
const STEP: i32 = 1_000;

/// Returns the findings of `PRAGMA integrity_check`, differences from this crate's schema, and contradictions between
/// events and commands.
pub(super) fn integrity(location: &FileLocation, connection: &Connection) -> Result<Vec<Finding>, StoreError> {
    let check = || -> rusqlite::Result<Vec<Finding>> {
        let texts = |sql: &str| -> rusqlite::Result<Vec<String>> {
            connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let findings =
            |kind, problems: Vec<String>| problems.into_iter().map(move |problem| Finding::new(kind, problem));
        let mut file = texts("PRAGMA integrity_check")?;
        file.retain(|finding| finding != "ok");
        let schema = schema_differences(connection, &LOG)?;
        let rows = texts(include_str!("integrity.sql"))?;
        Ok(findings(FindingKind::Log, file)
            .chain(findings(FindingKind::Protection, schema))
            .chain(findings(FindingKind::Log, rows))
            .collect())
    };
    check().map_err(|error| location.fault("checking the file", error))
}

/// The number of commands without events whose ids are recorded.
pub(super) fn count_eventless_commands(
    location: &FileLocation,
    connection: &Connection,
) -> Result<u64, StoreError> {
    let count = connection.query_row("SELECT count(*) FROM commands WHERE events = 0", [], |row| row.get(0));
    count.map_err(|error| location.fault("counting commands", error))
}

/// Copies the log as of now. The copy gets its name only when it is complete, and never replaces a file. `progress` may stop
/// it.
pub(in crate::store) fn backup(
    location: &FileLocation,
    connection: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let part = PartialBackup::beside(to)?;
    copy(location, connection, part.file(), progress)?;
    forget_stream(part.file()).map_err(|error| StoreError::Database { doing: BACKUP, source: error.into() })?;
    part.take_name(to)
}

fn copy(
    location: &FileLocation,
    connection: &Connection,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let source = |error| location.fault(BACKUP, error);
    let target = |error: rusqlite::Error| {
        StoreError::failed(
            BACKUP,
            format!(
                "{} cannot be written ({error}): name a file in a writable directory with enough space",
                to.display()
            ),
        )
    };
    let mut copy = Connection::open(to).map_err(target)?;
    // Without a read transaction around it, each concurrent append would restart the copy.
    connection.execute_batch("BEGIN").map_err(source)?;
    super::rows::head(connection).map_err(source)?;
    let backup = Backup::new(connection, &mut copy).map_err(target)?;
    loop {
        let step = backup.step(STEP).map_err(target)?;
        let pages = backup.progress();
        let total = u64::try_from(pages.pagecount).unwrap_or(0);
        if progress(total.saturating_sub(u64::try_from(pages.remaining).unwrap_or(0)), total).is_break() {
            return Err(StoreError::failed(BACKUP, "stopped: no file was written".to_owned()));
        }
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Another process has the file locked for a moment.
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    }
}

/// The backup of a local copy is a log of its own.
fn forget_stream(copy: &Path) -> rusqlite::Result<()> {
    let copy = Connection::open(copy)?;
    let copied: bool =
        copy.query_row("SELECT EXISTS (SELECT 1 FROM meta WHERE key = ?1)", [super::COPIED], |row| row.get(0))?;
    if copied {
        copy.execute("DELETE FROM meta WHERE key = ?1", [super::COPIED])?;
    }
    Ok(())
}

/// Returns the tables, indexes and triggers that differ from this crate's schema, and foreign triggers and unique
/// indexes, which may change or refuse rows. Another index only makes a search faster, and is accepted.
fn schema_differences(connection: &Connection, kind: &Kind) -> rusqlite::Result<Vec<String>> {
    const OBJECTS: &str = "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let objects = |connection: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        connection.prepare(OBJECTS)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let made = Connection::open_in_memory()?;
    made.execute_batch(kind.schema)?;
    if pragma_number(connection, "user_version")? > kind.made {
        made.execute_batch(kind.newest)?;
    }
    let (made, found) = (objects(&made)?, objects(connection)?);
    let mut differences = Vec::new();
    for (name, sql) in &made {
        match found.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("the {name} is missing")),
            Some((_, other)) if other != sql => differences.push(format!("the {name} was changed")),
            Some(_) => {}
        }
    }
    for (name, sql) in found.iter().filter(|(name, _)| !made.iter().any(|(own, _)| own == name)) {
        if name.starts_with("trigger ") || sql.to_ascii_uppercase().starts_with("CREATE UNIQUE INDEX") {
            differences.push(format!("the {name} was not created by this crate: it may change or refuse rows"));
        }
    }
    Ok(differences)
}
