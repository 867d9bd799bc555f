//! Opening the views file, and making it anew when somebody has removed or replaced it: all in it comes from the log.

use super::super::file::{self, LOCK_WAIT, Meta, VIEWS};
use super::super::file_lock::FairFileLock;
use super::super::link::Link;
use super::super::place::Place;
use crate::store::StoreError;

/// The views file of one log.
pub(super) struct ViewsFile {
    place: Place,
    meta: Meta,
}

impl ViewsFile {
    pub(super) fn new(place: Place, meta: Meta) -> Self {
        Self { place, meta }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Runs `connect` once the file is there and is the views of this log.
    fn open(&self, connect: impl Fn() -> Result<Link, StoreError>) -> Result<Link, StoreError> {
        file::settled(&self.place, true, &mut FairFileLock::at(&self.place), |file_lock| {
            let found = file::prepare(&self.place, &VIEWS, &self.meta, true, file_lock)?;
            if found.log_id != self.meta.log_id {
                let instead = self.place.instead();
                return Err(self.place.unusable(format!("it was made from another log: {instead}")));
            }
            connect()
        })
    }

    pub(super) fn writer(&self) -> Result<Link, StoreError> {
        self.open(|| {
            // Few: while much is written to the disk at once, the log's commits wait for it.
            let connection = file::writer(&self.place, 300)?;
            // What is lost can be made anew; the checkpoint is lost with it.
            file::synchronous(&self.place, &connection, "NORMAL")?;
            Ok(connection)
        })
    }

    pub(super) fn reader(&self) -> Result<Link, StoreError> {
        match file::reader(&self.place) {
            Ok(connection) if file::is_made(&VIEWS, &connection) => Ok(connection),
            _ => self.open(|| file::reader(&self.place)),
        }
    }

    /// A writing connection in place of one whose files are not at their paths any more.
    pub(super) fn writer_again(&self, lost: &Link) -> Result<Link, StoreError> {
        tracing::warn!(file = %self.place.path().display(), "the views file was removed or replaced: it is made anew");
        self.remove_remains(lost)?;
        self.writer()
    }

    /// Removes a database file that has lost its -wal or -shm file. SQLite would go on with the -shm file that this
    /// process has open for it, beside a -wal file of another content.
    fn remove_remains(&self, lost: &Link) -> Result<(), StoreError> {
        let mut file_lock = FairFileLock::at(&self.place);
        // Another process may be at the same.
        let _guard = file_lock.lock(LOCK_WAIT).map_err(|why| self.place.lock_error(why, LOCK_WAIT))?;
        if !lost.files().has_database() {
            return Ok(());
        }
        for path in lost.files().paths() {
            file::remove_if_there(path).map_err(|error| {
                let path = path.display();
                self.place.unusable(format!("{path} cannot be removed ({error}): remove it"))
            })?;
        }
        Ok(())
    }
}
