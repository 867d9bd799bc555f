//! A connection, and whether the files that it has open are still those at their paths.
//!
//! SQLite opens a file by its path once. When the file is then removed or another is put in its place, SQLite goes on
//! with the one that it has open, which nobody else will ever read. It looks at no path before a commit, so this does:
//! three calls of `stat`, six to seven microseconds on a busy machine.

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::location::beside;

/// Device and inode.
type Identity = (u64, u64);

/// A database file with its -wal and its -shm, and which files those paths named at one moment.
#[derive(Clone, Debug)]
pub(super) struct FileIdentities {
    paths: Arc<[PathBuf; 3]>,
    found: [Option<Identity>; 3],
}

impl FileIdentities {
    /// The files that are there now.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        // SQLite follows a link to the database, and keeps the other two beside the file that it leads to.
        let real = fs::canonicalize(path)?;
        let paths = Arc::new([path.to_owned(), beside(&real, "-wal"), beside(&real, "-shm")]);
        let mut found = [None; 3];
        for (path, found) in paths.iter().zip(&mut found) {
            *found = identity(path)?;
        }
        Ok(Self { paths, found })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Whether the database itself is still at its path, whatever has become of the other two.
    pub(super) fn has_database(&self) -> bool {
        identity(&self.paths[0]).is_ok_and(|now| now == self.found[0])
    }

    /// An error that says which path names another file now, or none. A file that was not there is not missed.
    pub(super) fn check(&self) -> Result<(), String> {
        for (path, found) in self.paths.iter().zip(self.found) {
            let Some(found) = found else { continue };
            let now = identity(path);
            let path = path.display();
            match now {
                Ok(Some(now)) if now == found => {}
                Ok(Some(_)) => return Err(format!("{path} was replaced by another file")),
                Ok(None) => return Err(format!("{path} was removed")),
                Err(error) => return Err(format!("{path} cannot be looked up any more ({error})")),
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt;
    match fs::metadata(path) {
        Ok(data) => Ok(Some((data.dev(), data.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where an open file can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    Ok(path.try_exists()?.then_some((0, 0)))
}

/// A connection of which it is known which files it has open.
pub(super) struct FileConnection {
    connection: Connection,
    files: FileIdentities,
}

impl FileConnection {
    /// `connection` must have read: only then are all its files open.
    pub(super) fn new(connection: Connection, files: FileIdentities) -> Self {
        Self { connection, files }
    }

    pub(super) fn files(&self) -> &FileIdentities {
        &self.files
    }
}

impl Deref for FileConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for FileConnection {
    fn drop(&mut self) {
        // The last connection to a file removes the -wal by its path: that of the file which lies there now.
        if self.files.check().is_err() {
            // It cannot fail: it sets a flag.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}
