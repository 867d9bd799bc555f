//! [`FileLocation`]: the path of a store's file, how to open it, its name in messages, and advice;
//! [`StoreLocations`]: the files of a URL.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::open_failure;
use crate::store::StoreError;

const FILE: &str = "sqlite://";
const MEMORY: &str = "sqlite::memory:";

/// How a database file can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// SQLite keeps its -wal and -shm files beside the file, or finds those of a program that can write.
    Ordinary,
    /// Read-only, without a -wal file: nothing but the file is read.
    Fixed,
    /// Read-only, with a -wal file that has commits, but no -shm file: each connection makes that in memory.
    FixedWithWal,
}

/// The path of a database file, with its name in messages and advice for errors.
#[derive(Clone, Debug)]
pub(in crate::store) struct FileLocation {
    name: String,
    path: PathBuf,
    media: Media,
    log: PathBuf,
    instead: &'static str,
    repair: &'static str,
    durable: bool,
}

impl FileLocation {
    /// Returns the URL or the file's name, for messages.
    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the log, which may be this file: users who can write the log can write this file.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the advice for a file that is not the expected one.
    pub(super) fn instead(&self) -> &'static str {
        self.instead
    }

    /// Returns the advice for a damaged file.
    pub(in crate::store) fn repair(&self) -> &'static str {
        self.repair
    }

    pub(super) fn media(&self) -> Media {
        self.media
    }

    /// Returns how to open a file whose directory cannot be written; `None` if it can be.
    pub(super) fn on_read_only_media(&self) -> Option<Self> {
        let file = fs::canonicalize(&self.path).ok().filter(|file| open_failure::is_read_only(file))?;
        let has_commits = fs::metadata(beside(&file, "-wal")).is_ok_and(|wal| wal.len() > 0);
        let media = if has_commits { Media::FixedWithWal } else { Media::Fixed };
        Some(Self { media, ..self.clone() })
    }

    /// Returns the error of a write to a file that can only be read.
    pub(in crate::store) fn read_only(&self) -> StoreError {
        StoreError::Unusable {
            store: self.name.clone(),
            reason: "it is read-only here: the log can be read, but no command can be executed; to execute commands, give \
                     this user the right to write the file and its directory, or copy the log and its -wal file to a \
                     writable directory"
                .to_owned(),
        }
    }

    /// Returns this file in a private directory, where it is removed with the directory.
    pub(super) fn in_private_directory(&self, directory: &Path) -> Self {
        let path = directory.join("views.db");
        let name = path.display().to_string();
        Self { name, log: path.clone(), path, media: Media::Ordinary, durable: false, ..self.clone() }
    }

    /// Copies the file and its -wal file, which no program may write meanwhile. What is missing or cannot be copied is left
    /// out.
    pub(super) fn copy_to(&self, to: &Self) {
        for suffix in ["", "-wal"] {
            let (from, to) = (beside(&self.path, suffix), beside(&to.path, suffix));
            if let Err(error) = fs::copy(&from, to) {
                tracing::debug!(file = %from.display(), %error, "not copied");
            }
        }
    }

    /// Removes the file, its -wal and its -shm file, which no connection has open.
    pub(super) fn remove(&self) {
        for suffix in ["", "-wal", "-shm"] {
            // One that remains is found by the next opening.
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }

    /// Returns whether commits must survive a power failure.
    pub(super) fn durable(&self) -> bool {
        self.durable
    }
}

/// The locations of a store's files.
pub(in crate::store) struct StoreLocations {
    pub(in crate::store) log: FileLocation,
    pub(super) views: FileLocation,
    /// The directory of a private store: removed with its files when dropped.
    pub(super) directory: Option<TempDir>,
}

impl StoreLocations {
    /// Returns the files of a URL.
    pub(super) fn from_url(url: &str) -> Result<Self, StoreError> {
        if url == MEMORY {
            let directory = private_directory(url)?;
            let path = directory.path().join("log.db");
            return Ok(Self::with_log(url, path, Some(directory)));
        }
        if let Some((_, parameters)) = url.split_once('?') {
            return Err(StoreError::Unusable {
                store: url.to_owned(),
                reason: format!(
                    "a SQLite URL has no parameters, but this one has `{parameters}`: write sqlite://FILE.db (rename a \
                     file that has a `?` in its name)"
                ),
            });
        }
        match url.strip_prefix(FILE) {
            Some(path) if !path.is_empty() && !path.ends_with('/') => {
                Ok(Self::with_log(url, PathBuf::from(path), None))
            }
            _ => Err(StoreError::unknown_url(url)),
        }
    }

    /// Returns the files of the local copy of a log that is elsewhere, at a URL.
    #[cfg(feature = "jetstream")]
    pub(in crate::store) fn of_copy(url: &str, path: PathBuf) -> Self {
        let mut locations = Self::with_log(url, path, None);
        locations.log.instead = "name another file with `?file=…`";
        locations.log.repair =
            "remove it, its -wal and its -shm file while no program has it open: it is made again";
        locations
    }

    fn with_log(url: &str, path: PathBuf, directory: Option<TempDir>) -> Self {
        let views_path = if path.extension().is_some_and(|extension| extension == "db") {
            path.with_extension("views.db")
        } else {
            beside(&path, ".views.db")
        };
        let durable = directory.is_none();
        Self {
            views: FileLocation {
                name: if durable { views_path.display().to_string() } else { url.to_owned() },
                path: views_path,
                media: Media::Ordinary,
                log: path.clone(),
                instead: "delete it while no program has it open: it is rebuilt from the log",
                repair: "delete it while no program has it open: it is rebuilt from the log",
                durable,
            },
            log: FileLocation {
                name: url.to_owned(),
                log: path.clone(),
                path,
                media: Media::Ordinary,
                instead: "name another file",
                repair: "keep a copy of it and restore a backup",
                durable,
            },
            directory,
        }
    }
}

/// Creates a directory that is removed when it is dropped. `store` is the name in an error.
pub(super) fn private_directory(store: &str) -> Result<TempDir, StoreError> {
    tempfile::Builder::new().prefix("annals-").tempdir().map_err(|error| StoreError::Unusable {
        store: store.to_owned(),
        reason: format!("no temporary directory can be created ({error}): set TMPDIR to a writable directory"),
    })
}

/// Returns the path of a file beside another: its name with a suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_log_and_its_views() {
        let locations = StoreLocations::from_url("sqlite://shop/log.db").unwrap();
        assert_eq!(locations.log.path(), Path::new("shop/log.db"));
        assert_eq!(locations.views.path(), Path::new("shop/log.views.db"));
        let locations = StoreLocations::from_url("sqlite:///var/log.1").unwrap();
        assert_eq!(locations.views.path(), Path::new("/var/log.1.views.db"));
        for bad in ["sqlite://", "sqlite:log.db", "postgres://log", "log.db", "sqlite://logs/"] {
            assert!(matches!(StoreLocations::from_url(bad), Err(StoreError::UnknownUrl(_))), "{bad}");
        }
    }

    /// SQLite's own URLs have parameters. They must not become part of the file's name.
    #[test]
    fn url_parameters_are_refused_by_name() {
        for bad in ["sqlite://x.db?mode=rwc", "sqlite://x.db?", "sqlite::memory:?cache=shared"] {
            let Err(StoreError::Unusable { reason, .. }) = StoreLocations::from_url(bad) else {
                panic!("{bad} is refused")
            };
            let (_, parameters) = bad.split_once('?').unwrap();
            assert!(reason.contains(&format!("`{parameters}`")), "{reason}");
        }
    }

    #[test]
    fn a_memory_store_is_a_private_directory_that_is_removed() {
        let one = StoreLocations::from_url(MEMORY).unwrap();
        let other = StoreLocations::from_url(MEMORY).unwrap();
        assert_ne!(one.log.path(), other.log.path());
        let directory = one.directory.as_ref().unwrap().path().to_owned();
        assert!(directory.is_dir());
        drop(one);
        assert!(!directory.exists());
    }
}
