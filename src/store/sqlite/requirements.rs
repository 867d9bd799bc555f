//! What the log requires of programs, and whether it is a copy, in its table `meta`.

use rusqlite::{Connection, OptionalExtension};

use super::database_file::{self, LOG};
use super::location::FileLocation;
use super::log_writer::COPIED;
use crate::store::{LogInfo, StoreError};

/// Returns the id of the log, what it requires, and whether it is a copy.
pub(super) fn info(location: &FileLocation, connection: &Connection) -> Result<LogInfo, StoreError> {
    let read = || {
        let mut value = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        let mut value = |key: &str| value.query_row([key], |row| row.get::<_, String>(0)).optional();
        Ok(LogInfo {
            log_id: value("log_id")?.unwrap_or_default(),
            requires: value("requires")?.unwrap_or_default(),
            is_copy: value(COPIED)?.is_some(),
        })
    };
    read().map_err(|error| location.fault("reading the log", error))
}

/// Returns a value of the table `meta`.
pub(in crate::store) fn meta_value(
    location: &FileLocation,
    connection: &Connection,
    key: &str,
) -> Result<Option<String>, StoreError> {
    connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")
        .and_then(|mut value| value.query_row([key], |row| row.get(0)).optional())
        .map_err(|error| location.fault("reading the log", error))
}

/// Stores what the log requires: names, separated by spaces. From then on it is a file of version 2, to which earlier programs
/// cannot append. Runs in the transaction of the first event that has to do with it.
pub(in crate::store) fn require(connection: &Connection, names: &str) -> rusqlite::Result<()> {
    const STORE: &str = "INSERT INTO meta (key, value) VALUES ('requires', ?1) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.execute(STORE, [names])?;
    database_file::make_newest(&LOG, connection)
}
