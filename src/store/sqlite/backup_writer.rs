//! [`BackupWriter`]: writes the rows of another store into a new SQLite log.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::database_file::{self, LOG, Meta};
use super::maintenance::BACKUP;
use super::partial_backup::PartialBackup;
use super::requirements;
use crate::events::Stored;
use crate::store::{KnownCommand, StoreError};

/// A new log. It gets its final name only when it is complete.
pub(in crate::store) struct BackupWriter {
    to: PathBuf,
    part: PartialBackup,
    connection: Connection,
}

impl BackupWriter {
    pub(in crate::store) fn begin(to: &Path, app: String, log_id: String) -> Result<Self, StoreError> {
        let part = PartialBackup::beside(to)?;
        let begin = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(part.file())?;
            database_file::make(&LOG, &Meta { app, log_id }, &connection)?;
            // One file, without a journal beside it.
            connection.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "OFF")?;
            Ok(connection)
        };
        let connection = begin().map_err(|error| failed(to, &error))?;
        Ok(Self { to: to.to_owned(), part, connection })
    }

    /// Stores what the log requires of programs.
    pub(in crate::store) fn require(&mut self, names: &str) -> Result<(), StoreError> {
        let add = || {
            let transaction = self.connection.unchecked_transaction()?;
            requirements::require(&transaction, names)?;
            transaction.commit()
        };
        add().map_err(|error| failed(&self.to, &error))
    }

    /// Appends the next events.
    pub(in crate::store) fn events(&mut self, events: &[Stored]) -> Result<(), StoreError> {
        let add = || {
            let transaction = self.connection.unchecked_transaction()?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?;
            for event in events {
                insert.execute(params![
                    event.position,
                    event.event_id,
                    event.aggregate.kind(),
                    event.aggregate.id(),
                    event.sequence,
                    event.event_type,
                    event.event_version,
                    event.payload,
                    event.metadata,
                    event.command_id,
                    event.occurred_at.as_microsecond(),
                    event.recorded_at.as_microsecond(),
                    event.digest,
                ])?;
            }
            drop(insert);
            transaction.commit()
        };
        add().map_err(|error| failed(&self.to, &error))
    }

    /// Adds commands with their names.
    pub(in crate::store) fn commands(&mut self, commands: &[KnownCommand]) -> Result<(), StoreError> {
        let add = || {
            let transaction = self.connection.unchecked_transaction()?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO commands (command_id, command, body_digest, first_position, events, head_position, \
                 head_event_id, recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for known in commands {
                let receipt = &known.receipt;
                insert.execute(params![
                    receipt.command_id,
                    known.command,
                    known.body_digest,
                    receipt.first_position,
                    receipt.events,
                    receipt.head.position,
                    receipt.head.event_id,
                    receipt.recorded_at.as_microsecond(),
                ])?;
            }
            drop(insert);
            transaction.commit()
        };
        add().map_err(|error| failed(&self.to, &error))
    }

    /// Syncs the file and gives it its name.
    pub(in crate::store) fn finish(self) -> Result<(), StoreError> {
        let Self { to, part, connection } = self;
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
            .and_then(|()| connection.close().map_err(|(_, error)| error))
            .map_err(|error| failed(&to, &error))?;
        std::fs::File::open(part.file()).and_then(|file| file.sync_all()).map_err(|error| failed(&to, &error))?;
        part.take_name(&to)
    }
}

fn failed(to: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::failed(
        BACKUP,
        format!(
            "{} cannot be written ({error}): name a file in a writable directory with enough space",
            to.display()
        ),
    )
}
