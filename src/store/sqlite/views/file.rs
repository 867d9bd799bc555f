//! Opening the views file, and recreating a removed or replaced one: everything in it can be rebuilt from the log.

use super::super::database_file::{self, LOCK_WAIT, Meta, VIEWS};
use super::super::file_connection::FileConnection;
use super::super::file_lock::FairFileLock;
use super::super::location::FileLocation;
use crate::store::StoreError;

/// The views file of one log.
pub(super) struct ViewsFile {
    location: FileLocation,
    meta: Meta,
}

impl ViewsFile {
    pub(super) fn new(location: FileLocation, meta: Meta) -> Self {
        Self { location, meta }
    }

    pub(super) fn location(&self) -> &FileLocation {
        &self.location
    }

    /// Runs `connect` once the file exists and belongs to this log.
    fn open(&self, connect: impl Fn() -> Result<FileConnection, StoreError>) -> Result<FileConnection, StoreError> {
        database_file::open_with_retry(
            &self.location,
            true,
            &mut FairFileLock::beside(&self.location),
            |file_lock| {
                let found = database_file::prepare(&self.location, &VIEWS, &self.meta, true, file_lock)?;
                if found.log_id != self.meta.log_id {
                    let instead = self.location.instead();
                    return Err(self.location.unusable(format!("it was made from another log: {instead}")));
                }
                connect()
            },
        )
    }

    pub(super) fn writer(&self) -> Result<FileConnection, StoreError> {
        self.open(|| {
            // Few pages: the log's commits wait while much is written to the disk at once.
            let connection = database_file::writer(&self.location, 300)?;
            // Lost changes are made again, because the checkpoint is lost with them.
            database_file::synchronous(&self.location, &connection, "NORMAL")?;
            Ok(connection)
        })
    }

    pub(super) fn reader(&self) -> Result<FileConnection, StoreError> {
        match database_file::reader(&self.location) {
            Ok(connection) if database_file::is_made(&VIEWS, &connection) => Ok(connection),
            _ => self.open(|| database_file::reader(&self.location)),
        }
    }

    /// Opens a writing connection in place of one whose files are no longer at their paths.
    pub(super) fn writer_again(&self, lost: &FileConnection) -> Result<FileConnection, StoreError> {
        tracing::warn!(file = %self.location.path().display(), "the views file was removed or replaced: it is created again");
        self.remove_remains(lost)?;
        self.writer()
    }

    /// Removes a database file whose -wal or -shm file is missing. SQLite would continue to use the open -shm file of this
    /// process with a -wal file of other content.
    fn remove_remains(&self, lost: &FileConnection) -> Result<(), StoreError> {
        let mut file_lock = FairFileLock::beside(&self.location);
        // Another process may do the same.
        let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| self.location.lock_error(why, LOCK_WAIT))?;
        if !lost.files().has_database() {
            return Ok(());
        }
        for path in lost.files().paths() {
            database_file::remove_if_there(path).map_err(|error| {
                let path = path.display();
                self.location.unusable(format!("{path} cannot be removed ({error}): remove it"))
            })?;
        }
        Ok(())
    }
}
