//! Opens the two database files: checks their owner and schema, creates or upgrades them, applies settings.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::file_connection::{FileConnection, FileIdentities};
use super::file_lock::FairFileLock;
use super::location::{FileLocation, Media, beside};
use super::permissions;
use crate::private_file::find_untrusted;
use crate::store::StoreError;

/// How long a connection waits for SQLite's own lock. Only a program that does not use the file lock holds it for long.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a writer waits for the file lock.
pub(in crate::store) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How often opening is tried while the file is removed or replaced, and the pause between two attempts.
const TRIES: u32 = 100;
/// How often opening the views is tried: a new file may have the inode of its predecessor, so that the replacement is
/// not detected.
const VIEWS_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// The kind of a database file.
pub(in crate::store) struct Kind {
    /// The newest version of its schema.
    version: i64,
    /// The version of a new file. Later ones up to the newest are used as they are.
    pub(super) made: i64,
    /// The number in the file's header.
    application_id: i64,
    /// Its SQL.
    pub(in crate::store) schema: &'static str,
    /// The SQL that makes a new file one of the newest version.
    pub(super) newest: &'static str,
    /// The SQL that upgrades a file from each earlier version to the next.
    upgrades: &'static [(i64, &'static str)],
}

/// The log.
pub(in crate::store) const LOG: Kind = Kind {
    version: 2,
    made: 1,
    application_id: 0x616e_6e6c,
    schema: include_str!("log.sql"),
    newest: include_str!("log_2.sql"),
    upgrades: &[],
};
/// The views.
pub(super) const VIEWS: Kind = Kind {
    version: 3,
    made: 3,
    application_id: 0x616e_6e76,
    schema: include_str!("views.sql"),
    newest: "",
    upgrades: &[(2, include_str!("views_3.sql"))],
};

/// The content of the `meta` table.
#[derive(Clone, Debug)]
pub(super) struct Meta {
    pub(super) app: String,
    pub(super) log_id: String,
}

enum State {
    Empty,
    /// An earlier version that can be upgraded.
    Older(i64),
    Ours,
}

/// Opens a connection for writing, with a checkpoint of the WAL after this number of pages.
pub(super) fn writer(location: &FileLocation, pages: u32) -> Result<FileConnection, StoreError> {
    let connection = connect(location)?;
    let settings = || {
        // 16 MB, measured: SQLite scans its whole page cache at the end of most commits.
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(())
    };
    settings().map_err(|error| location.fault("opening the store", error))?;
    Ok(connection)
}

/// Opens a connection for reading.
pub(super) fn reader(location: &FileLocation) -> Result<FileConnection, StoreError> {
    let connection = connect(location)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| location.fault("opening the store", error))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Opens a connection for reading the same files that another connection has open.
pub(super) fn reader_of(location: &FileLocation, files: &FileIdentities) -> Result<FileConnection, StoreError> {
    let check = || files.check().map_err(|reason| location.moved(reason));
    check()?;
    let connection = reader(location);
    check()?;
    connection
}

/// Opens a connection and reads with it, so that all its files are open.
fn connect(location: &FileLocation) -> Result<FileConnection, StoreError> {
    let files = || {
        let read = FileIdentities::read(location.path());
        let files = if location.media() == Media::Ordinary { read } else { read.and_then(FileIdentities::fixed) };
        files.map_err(|error| location.unusable(format!("its file is not there: {error}")))
    };
    let before = files()?;
    let open = || {
        let connection = open_file(location)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        pragma_number(&connection, "application_id")?;
        Ok(connection)
    };
    let connection = open().map_err(|error| location.fault("opening the store", error))?;
    let connection = FileConnection::new(connection, files()?);
    before.check().map_err(|reason| location.moved(reason))?;
    Ok(connection)
}

fn open_file(location: &FileLocation) -> rusqlite::Result<Connection> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let path = location.path();
    match location.media() {
        Media::Ordinary => {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)
        }
        Media::Fixed => {
            let escaped: String =
                path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("%{byte:02X}")).collect();
            let flags = read_only | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        }
        Media::FixedWithWal => {
            // Without locks, which read-only files cannot have, and exclusive, so that no -shm file is needed.
            let connection = Connection::open_with_flags_and_vfs(path, read_only, "unix-none")?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            Ok(connection)
        }
    }
}

/// Ensures that there is a file, then opens it. If opening fails because the file is removed or replaced meanwhile, it
/// is tried again.
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
        let before = FileIdentities::read(location.path());
        let opened = match &before {
            Ok(files) => check_owners(location, files).and_then(|()| open(file_lock)),
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

/// Creates an empty file if there is none and `create` is set.
fn ensure_file(location: &FileLocation, create: bool, file_lock: &mut FairFileLock) -> Result<(), StoreError> {
    match fs::metadata(location.path()) {
        Ok(data) if data.len() > 0 => return Ok(()),
        _ if !create => return Err(StoreError::Missing(location.name().to_owned())),
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    let parent = location.path().parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(
            location.unusable(format!("the directory {} does not exist: create it first", parent.display()))
        );
    }
    let cannot = |error: io::Error| {
        location.unusable(format!(
            "the file {} cannot be created ({error}): give this user the right to write the directory, and check that \
             there is space",
            location.path().display()
        ))
    };
    if location.path() == location.log() {
        // SQLite would delete the commits in that file.
        if let Some(left) = leftover_beside(location) {
            return Err(location.unusable(format!(
                "its file does not exist, but {} does: move the file back; or, if no program has the log open and the \
                 other file is not needed, remove that",
                left.display()
            )));
        }
        return permissions::create(location.path(), None).map_err(cannot);
    }
    // One process at a time, so that files beside a new database are not mistaken for leftovers of the old one.
    let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| location.lock_error(why, LOCK_WAIT))?;
    while let Some(left) = leftover_beside(location) {
        if !remove_if_there(&left).map_err(cannot)? {
            break;
        }
    }
    permissions::create(location.path(), Some(location.log())).map_err(cannot)
}

/// Returns a -wal or -shm file of a database that no longer exists: SQLite would use it for the next one.
fn leftover_beside(location: &FileLocation) -> Option<PathBuf> {
    let beside = ["-wal", "-shm"].map(|suffix| beside(location.path(), suffix));
    beside.into_iter().find(|path| path.exists() && !location.path().exists())
}

/// Removes a file. Returns whether it existed.
pub(super) fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn check_owners(location: &FileLocation, files: &FileIdentities) -> Result<(), StoreError> {
    for path in files.paths() {
        match find_untrusted(path, Some(location.log())) {
            Ok(None) => {}
            Ok(Some(reason)) => return Err(location.unusable(reason)),
            Err(error) => return Err(location.unusable(format!("its owner cannot be looked up: {error}"))),
        }
    }
    Ok(())
}

/// Creates the schema of `kind`, or checks or upgrades the existing one. Returns the content of its `meta` table.
///
/// `synchronous` is set on each connection for writing, with [`synchronous`].
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
        // Another process may have created it in the meantime.
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
    if location.path() != location.log() && is_read_only(location, &connection)? {
        return Err(location.unusable(
            "the file is read-only: give this user the right to write the file and its directory".to_owned(),
        ));
    }
    if location.durable() {
        // After a power failure, recovery is then complete and durable before anything is read.
        connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    }
    read_meta(&connection).map_err(fault)?.ok_or_else(|| {
        location.unusable(format!("its `meta` table does not name an application: {}", location.instead()))
    })
}

/// Returns whether the file cannot be written through this connection.
pub(in crate::store) fn is_read_only(location: &FileLocation, connection: &Connection) -> Result<bool, StoreError> {
    connection.is_readonly(rusqlite::DatabaseName::Main).map_err(|error| location.fault("opening the store", error))
}

/// Returns whether the file's header is that of `kind`.
pub(super) fn is_made(kind: &Kind, connection: &Connection) -> bool {
    pragma_number(connection, "application_id").is_ok_and(|found| found == kind.application_id)
}

pub(super) fn pragma_number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Sets `synchronous`. `FULL`: commits survive a power failure. `NORMAL`: the file stays consistent, but may lose its
/// last commits.
pub(in crate::store) fn synchronous(
    location: &FileLocation,
    connection: &Connection,
    level: &str,
) -> Result<(), StoreError> {
    let level = if location.durable() { level } else { "OFF" };
    connection.pragma_update(None, "synchronous", level).map_err(|error| location.fault("opening the store", error))
}

fn state(location: &FileLocation, kind: &Kind, connection: &Connection) -> Result<State, StoreError> {
    let read = || {
        let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma_number(connection, "application_id")?, pragma_number(connection, "user_version")?, objects))
    };
    let (application_id, version, objects) = read().map_err(|error| location.fault("opening the store", error))?;
    if application_id == kind.application_id {
        return match version {
            found if found > kind.version => Err(StoreError::Newer { found, known: kind.version }),
            found if kind.upgrades.iter().any(|(from, _)| *from == found) => Ok(State::Older(found)),
            found if found < kind.made => Err(location.unusable(format!(
                "its schema version is {found}, which no release has written: {}",
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
    transaction.pragma_update(None, "user_version", kind.made)?;
    transaction.commit()
}

/// Makes a new file one of the newest version, in the open transaction.
pub(super) fn make_newest(kind: &Kind, connection: &Connection) -> rusqlite::Result<()> {
    if pragma_number(connection, "user_version")? < kind.version {
        connection.execute_batch(kind.newest)?;
        connection.pragma_update(None, "user_version", kind.version)?;
    }
    Ok(())
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
