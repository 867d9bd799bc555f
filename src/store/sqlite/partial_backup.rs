//! [`PartialBackup`]: a backup while it is being written, in a private directory beside the target.
//!
//! The writer holds a file lock in that directory. The system releases the lock of a program that was killed: the next
//! backup beside it removes the abandoned directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::location::beside;
use super::maintenance::BACKUP;
use super::permissions;
use crate::store::StoreError;

const SUFFIX: &str = ".part";
const LOCK: &str = "annals-backup.lock";
const FILE: &str = "copy.db";
/// How often the directory is created: another backup that cleans up may remove it before it is locked.
const TRIES: u32 = 5;

/// A private directory for the file, removed when dropped.
pub(super) struct PartialBackup {
    directory: PathBuf,
    file: PathBuf,
    _lock: File,
}

impl PartialBackup {
    /// Creates the directory beside `to`, which must not exist.
    pub(super) fn beside(to: &Path) -> Result<Self, StoreError> {
        if to.exists() {
            return Err(taken(to));
        }
        remove_abandoned(parent(to));
        let mut tries = 1;
        loop {
            match Self::make(to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => tries += 1,
                made => {
                    return made.map_err(|error| {
                        let to = to.display();
                        StoreError::failed(
                            BACKUP,
                            format!("no directory can be created beside {to} ({error}): name a file in a writable directory"),
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
        // NotFound: another backup removed the directory before it was locked.
        fs::metadata(lock_path)?;
        permissions::create(&part.file, None)?;
        Ok(part)
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Gives the file its name, durably: the directory with the name is synced too.
    pub(super) fn take_name(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::Database { doing: BACKUP, source: error.into() };
        match fs::hard_link(&self.file, to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(to)),
            // A file system without hard links: the name was free a moment ago.
            Err(_) if !to.exists() => fs::rename(&self.file, to).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        sync_directory(parent(to)).map_err(failed)
    }
}

impl Drop for PartialBackup {
    fn drop(&mut self) {
        // After a failed backup this removes the file; after a successful one, its second name. The next backup tries
        // to remove a directory that remains.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn taken(to: &Path) -> StoreError {
    StoreError::failed(BACKUP, format!("{} exists already: name a file that does not exist", to.display()))
}

/// Removes the directories of killed backups. One that cannot be removed is ignored.
fn remove_abandoned(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| is_part(&entry.file_name())) {
        let path = entry.path();
        match File::open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => _ = fs::remove_dir_all(&path),
            // Another process is writing it.
            Ok(_) => {}
            // Killed before it created its lock: the directory is empty.
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
        // A file system that cannot sync directories.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
