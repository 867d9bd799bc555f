//! [`FileConnection`]: a connection that detects whether its files were removed or replaced.
//!
//! SQLite opens a file by its path once. If the file is then removed or replaced, SQLite continues to use the open
//! file, which no other process will ever read. SQLite does not check paths before a commit, so this module does: three
//! calls of `stat`, six to seven microseconds on a busy machine.

use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::location::beside;

/// Device number and inode.
type Identity = (u64, u64);

/// Size and time of the last change.
type Content = (u64, SystemTime);

/// The paths of a database file, its -wal and its -shm, and the identities of their files at one moment.
#[derive(Clone, Debug)]
pub(in crate::store) struct FileIdentities {
    paths: Arc<[PathBuf; 3]>,
    found: [Option<Identity>; 3],
    /// What the files hold, if no program may write them while they are open.
    fixed: Option<[Option<Content>; 3]>,
}

impl FileIdentities {
    /// Returns the identities of the present files.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        // SQLite follows a symbolic link to the database, and keeps the other two beside the link's target.
        let real = fs::canonicalize(path)?;
        let paths = Arc::new([path.to_owned(), beside(&real, "-wal"), beside(&real, "-shm")]);
        let mut found = [None; 3];
        for (path, found) in paths.iter().zip(&mut found) {
            *found = identity(path)?;
        }
        Ok(Self { paths, found, fixed: None })
    }

    /// From now on [`check`](Self::check) also fails when a file was written or created: SQLite would not notice.
    pub(super) fn fixed(self) -> io::Result<Self> {
        let mut fixed = [None; 3];
        for (path, fixed) in self.paths.iter().zip(&mut fixed) {
            *fixed = content(path)?;
        }
        Ok(Self { fixed: Some(fixed), ..self })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Returns whether the database file itself is still at its path.
    pub(super) fn has_database(&self) -> bool {
        identity(&self.paths[0]).is_ok_and(|now| now == self.found[0])
    }

    /// Returns an error that names a path whose file was removed or replaced. A file that did not exist may be missing.
    pub(in crate::store) fn check(&self) -> Result<(), String> {
        for (path, found) in self.paths.iter().zip(self.found) {
            let Some(found) = found else { continue };
            let now = identity(path);
            let path = path.display();
            match now {
                Ok(Some(now)) if now == found => {}
                Ok(Some(_)) => return Err(format!("{path} was replaced by another file")),
                Ok(None) => return Err(format!("{path} was removed")),
                Err(error) => return Err(format!("{path} can no longer be looked up ({error})")),
            }
        }
        for (path, fixed) in self.paths.iter().zip(self.fixed.into_iter().flatten()) {
            if content(path).ok() != Some(fixed) {
                return Err(format!("{} was written by a program for which it is not read-only,", path.display()));
            }
        }
        Ok(())
    }
}

fn content(path: &Path) -> io::Result<Option<Content>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some((data.len(), data.modified()?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
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

/// On systems where an open file can be neither removed nor replaced.
#[cfg(not(unix))]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    Ok(path.try_exists()?.then_some((0, 0)))
}

/// A connection with the identities of its open files.
pub(in crate::store) struct FileConnection {
    connection: Connection,
    files: FileIdentities,
}

impl FileConnection {
    /// `connection` must have read from the database: only then are all its files open.
    pub(super) fn new(connection: Connection, files: FileIdentities) -> Self {
        Self { connection, files }
    }

    pub(in crate::store) fn files(&self) -> &FileIdentities {
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
        // The last connection to a database removes the -wal by its path, which may belong to another database by now.
        if self.files.check().is_err() {
            // Setting the flag cannot fail.
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}
