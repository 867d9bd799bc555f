//! A backup while it is being written: in a directory of its own beside the target, which only this user can enter.
//!
//! Whoever writes one holds a lock in it. The system lets go of the lock of a program that was killed: the next backup
//! into the same directory removes what that program left.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::fault::told;
use super::location::beside;
use super::maintenance::BACKUP;
use super::permissions;
use crate::store::StoreError;

const SUFFIX: &str = ".part";
const LOCK: &str = "annals-backup.lock";
const FILE: &str = "copy.db";
/// Another backup that tidies up may remove a directory before it is locked.
const TRIES: u32 = 5;

/// A place for the file, removed when dropped.
pub(super) struct PartialBackup {
    directory: PathBuf,
    file: PathBuf,
    _lock: File,
}

impl PartialBackup {
    /// A place beside `to`, whose name must be free.
    pub(super) fn beside(to: &Path) -> Result<Self, StoreError> {
        if to.exists() {
            return Err(taken(to));
        }
        remove_left(parent(to));
        let mut tries = 1;
        loop {
            match Self::make(to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => tries += 1,
                made => {
                    return made.map_err(|error| {
                        let to = to.display();
                        told(
                            BACKUP,
                            format!("nothing can be made beside {to} ({error}): name a writable directory"),
                        )
                    });
                }
            }
        }
    }

    fn make(to: &Path) -> io::Result<Self> {
        let directory = beside(to, &format!(".{}{SUFFIX}", uuid::Uuid::new_v4().simple()));
        permissions::create_directory(&directory)?;
        let lock_path = directory.join(LOCK);
        let lock = File::create_new(&lock_path)?;
        lock.lock()?;
        let part = Self { file: directory.join(FILE), directory, _lock: lock };
        // Removed by another backup before it was locked: NotFound.
        fs::metadata(lock_path)?;
        permissions::create(&part.file, None)?;
        Ok(part)
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Gives the file its name, for good: the directory that holds the name is written to the disk too.
    pub(super) fn take_name(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::Database { doing: BACKUP, source: error.into() };
        match fs::hard_link(&self.file, to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(to)),
            // A file system without links: the name was free a moment ago.
            Err(_) if !to.exists() => fs::rename(&self.file, to).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        sync_directory(parent(to)).map_err(failed)
    }
}

impl Drop for PartialBackup {
    fn drop(&mut self) {
        // What remains of a failed backup; after a successful one, the file's second name. What cannot be removed now, the
        // next backup tries to remove again.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(to: &Path) -> StoreError {
    told(BACKUP, format!("{} is there already: name a file that is not", to.display()))
}

/// Removes what killed backups left. It is no backup's purpose: what cannot be removed is passed over.
fn remove_left(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| is_part(&entry.file_name())) {
        let path = entry.path();
        match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => _ = fs::remove_dir_all(&path),
            // Somebody is writing it.
            Ok(_) => {}
            // Killed before it made its lock: nothing is in it.
            Err(_) => _ = fs::remove_dir(&path),
        }
    }
}

/// `NAME.0123456789abcdef0123456789abcdef.part`.
fn is_part(name: &OsStr) -> bool {
    let Some((_, id)) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.rsplit_once('.')) else {
        return false;
    };
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // A file system that cannot: it keeps names in its own way.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
