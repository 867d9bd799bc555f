//! Opening the two database files: whose they are, their schema, their settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::file_connection::{FileConnection, FileIdentities};
use super::file_lock::FairFileLock;
use super::location::{FileLocation, beside};
use super::permissions;
use crate::store::StoreError;

/// How long a connection waits for SQLite's own lock: only a program that knows no turns keeps it for long.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a writer waits for its turn.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How often a file that is removed or replaced while it is being opened is tried, and the pause in between.
const TRIES: u32 = 100;
/// How often views that cannot be opened are tried: a file that was made anew may have the number of the one before it,
/// so that it is not seen to be another.
const VIEWS_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// What a database file is for.
pub(super) struct Kind {
    /// The schema's version.
    version: i64,
    /// Written into the file's header.
    application_id: i64,
    /// Its SQL.
    pub(super) schema: &'static str,
    /// What takes a file of an earlier version to the next one.
    upgrades: &'static [(i64, &'static str)],
}

/// The log.
pub(super) const LOG: Kind =
    Kind { version: 1, application_id: 0x616e_6e6c, schema: include_str!("log.sql"), upgrades: &[] };
/// The views.
pub(super) const VIEWS: Kind = Kind {
    version: 3,
    application_id: 0x616e_6e76,
    schema: include_str!("views.sql"),
    upgrades: &[(2, include_str!("views_3.sql"))],
};

/// What the `meta` table says.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) app: String,
    pub(super) log_id: String,
}

enum State {
    Empty,
    /// Of an earlier version, which can be upgraded.
    Older(i64),
    Ours,
}

/// A connection that writes, and copies what it wrote to the file whenever that is so many pages.
pub(super) fn writer(location: &FileLocation, pages: u32) -> Result<FileConnection, StoreError> {
    let connection = connect(location)?;
    let settings = || {
        // 16 MB, measured: SQLite walks its whole table of cached pages at the end of most commits.
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(())
    };
    settings().map_err(|error| location.fault("opening the store", error))?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(location: &FileLocation) -> Result<FileConnection, StoreError> {
    let connection = connect(location)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| location.fault("opening the store", error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that only reads, to the very files that another connection has open.
pub(super) fn reader_of(location: &FileLocation, files: &FileIdentities) -> Result<FileConnection, StoreError> {
    let check = || files.check().map_err(|reason| location.moved(reason));
    check()?;
    let connection = reader(location);
    check()?;
    connection
}

/// Opens a connection and reads with it, so that it has all its files open.
fn connect(location: &FileLocation) -> Result<FileConnection, StoreError> {
    let files = || {
        FileIdentities::at(location.path())
            .map_err(|error| location.unusable(format!("its file is not there: {error}")))
    };
    let before = files()?;
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(location.path(), flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        number(&connection, "application_id")?;
        Ok(connection)
    };
    let connection = open().map_err(|error| location.fault("opening the store", error))?;
    let connection = FileConnection::new(connection, files()?);
    before.check().map_err(|reason| location.moved(reason))?;
    Ok(connection)
}

/// Sees to it that there is a file, then opens it. What fails because somebody removes or replaces the file meanwhile is
/// tried again.
pub(super) fn open_with_retry<T>(
    location: &FileLocation,
    create: bool,
    file_lock: &mut FairFileLock,
    mut open: impl FnMut(&mut FairFileLock) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        ensure_file(location, create, file_lock)?;
        let before = FileIdentities::at(location.path());
        let opened = match &before {
            Ok(files) => distrust(location, files).and_then(|()| open(file_lock)),
            Err(error) => Err(location.unusable(format!("its file cannot be looked up: {error}"))),
        };
        let moved =
            before.map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |files| files.check().is_err());
        let most = match opened {
            Ok(_) | Err(StoreError::Busy(_)) => 1,
            Err(_) if moved => TRIES,
            Err(_) if location.path() != location.log() => VIEWS_TRIES,
            Err(_) => 1,
        };
        if tries >= most {
            return opened;
        }
        thread::sleep(PAUSE);
    }
}

/// Makes an empty file if there is none and one is to be made.
fn ensure_file(location: &FileLocation, create: bool, file_lock: &mut FairFileLock) -> Result<(), StoreError> {
    match fs::metadata(location.path()) {
        Ok(data) if data.len() > 0 => return Ok(()),
        _ if !create => return Err(StoreError::Missing(location.name().to_owned())),
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    let parent = location.path().parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(location.unusable(format!("there is no directory {}: make it first", parent.display())));
    }
    let cannot = |error: io::Error| {
        location.unusable(format!(
            "the file {} cannot be made ({error}): give this user the right to write the directory, and see that there \
             is room",
            location.path().display()
        ))
    };
    if location.path() == location.log() {
        // SQLite would remove what was committed to it.
        if let Some(left) = left_beside(location) {
            return Err(location.unusable(format!(
                "its file is not there, but {} is: move the file back; or remove the other, if no program has the log \
                 open and it is not needed any more",
                left.display()
            )));
        }
        return permissions::create(location.path(), None).map_err(cannot);
    }
    // One at a time: what another process makes beside the new file is not taken for that of the old one.
    let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| location.lock_error(why, LOCK_WAIT))?;
    while let Some(left) = left_beside(location) {
        if !remove_if_there(&left).map_err(cannot)? {
            break;
        }
    }
    permissions::create(location.path(), Some(location.log())).map_err(cannot)
}

/// What a database that is not there any more has left: SQLite would take it for a part of the next one.
fn left_beside(location: &FileLocation) -> Option<PathBuf> {
    let beside = ["-wal", "-shm"].map(|suffix| beside(location.path(), suffix));
    beside.into_iter().find(|path| path.exists() && !location.path().exists())
}

/// Whether there was such a file.
pub(super) fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn distrust(location: &FileLocation, files: &FileIdentities) -> Result<(), StoreError> {
    for path in files.paths() {
        match permissions::distrust(path, location.log()) {
            Ok(None) => {}
            Ok(Some(reason)) => return Err(location.unusable(reason)),
            Err(error) => return Err(location.unusable(format!("its owner cannot be looked up: {error}"))),
        }
    }
    Ok(())
}

/// Makes the file what `kind` says, or sees that it is that already; answers whose it is.
///
/// `synchronous` is set on each writing connection, with [`synchronous`].
pub(super) fn prepare(
    location: &FileLocation,
    kind: &Kind,
    meta: &Meta,
    create: bool,
    file_lock: &mut FairFileLock,
) -> Result<Meta, StoreError> {
    let fault = |error| location.fault("opening the store", error);
    let connection = connect(location)?;
    if let State::Empty = state(location, kind, &connection)? {
        if !create {
            return Err(StoreError::Missing(location.name().to_owned()));
        }
        let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| location.lock_error(why, LOCK_WAIT))?;
        // Another process may have made it in the meantime.
        if let State::Empty = state(location, kind, &connection)? {
            make(kind, meta, &connection).map_err(fault)?;
        }
    }
    if let State::Older(_) = state(location, kind, &connection)? {
        let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| location.lock_error(why, LOCK_WAIT))?;
        if let State::Older(version) = state(location, kind, &connection)? {
            upgrade(kind, version, &connection).map_err(fault)?;
        }
    }
    if create && connection.is_readonly(rusqlite::DatabaseName::Main).map_err(fault)? {
        return Err(location.unusable(
            "the file is read-only: give this user the right to write the file and its directory".to_owned(),
        ));
    }
    if location.durable() {
        // Also what a loss of power left behind is then whole before anything is read.
        connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    }
    read_meta(&connection).map_err(fault)?.ok_or_else(|| {
        location.unusable(format!("its `meta` table does not say whose it is: {}", location.instead()))
    })
}

/// Whether the file is what `kind` says, as far as its header shows.
pub(super) fn is_made(kind: &Kind, connection: &Connection) -> bool {
    number(connection, "application_id").is_ok_and(|found| found == kind.application_id)
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// `FULL`: what is committed survives a loss of power. `NORMAL`: it is whole after one, but may lack its end.
pub(super) fn synchronous(location: &FileLocation, connection: &Connection, level: &str) -> Result<(), StoreError> {
    let level = if location.durable() { level } else { "OFF" };
    connection.pragma_update(None, "synchronous", level).map_err(|error| location.fault("opening the store", error))
}

fn state(location: &FileLocation, kind: &Kind, connection: &Connection) -> Result<State, StoreError> {
    let read = || {
        let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((number(connection, "application_id")?, number(connection, "user_version")?, objects))
    };
    let (application_id, version, objects) = read().map_err(|error| location.fault("opening the store", error))?;
    if application_id == kind.application_id {
        return match version {
            found if found > kind.version => Err(StoreError::Newer { found, known: kind.version }),
            found if kind.upgrades.iter().any(|(from, _)| *from == found) => Ok(State::Older(found)),
            found if found < kind.version => Err(location.unusable(format!(
                "its schema version is {found}, which no release ever wrote: {}",
                location.repair()
            ))),
            _ => Ok(State::Ours),
        };
    }
    if application_id == 0 && version == 0 && objects == 0 {
        return Ok(State::Empty);
    }
    Err(location.unusable(format!("the file is a SQLite database of another program: {}", location.instead())))
}

pub(super) fn make(kind: &Kind, meta: &Meta, connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch(kind.schema)?;
    for (key, value) in [("app", &meta.app), ("log_id", &meta.log_id)] {
        transaction.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", [key, value])?;
    }
    transaction.pragma_update(None, "application_id", kind.application_id)?;
    transaction.pragma_update(None, "user_version", kind.version)?;
    transaction.commit()
}

fn upgrade(kind: &Kind, version: i64, connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    for (_, sql) in kind.upgrades.iter().filter(|(from, _)| *from >= version) {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "user_version", kind.version)?;
    transaction.commit()
}

fn read_meta(connection: &Connection) -> rusqlite::Result<Option<Meta>> {
    let value = |key: &str| {
        connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0))
            .optional()
    };
    Ok(value("app")?.zip(value("log_id")?).map(|(app, log_id)| Meta { app, log_id }))
}

/// What is not as this crate makes it, of tables, indexes and triggers by name; and triggers and unique indexes that are
/// not its own: they may change or refuse rows. An index that only makes a search faster does no harm.
pub(super) fn schema_differences(connection: &Connection, kind: &Kind) -> rusqlite::Result<Vec<String>> {
    const OBJECTS: &str = "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let objects = |connection: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        connection.prepare(OBJECTS)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let made = Connection::open_in_memory()?;
    made.execute_batch(kind.schema)?;
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
            differences.push(format!("there is a {name} that is not this crate's: it may change or refuse rows"));
        }
    }
    Ok(differences)
}
