//! The aggregate `File`: the state of a path that commands decide on.

use annals::events::MAX_ID_BYTES;
use annals::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FileEvent;
use crate::git::text;

/// The id of a file: its path as [`text`](crate::git::text::text), like `file:src/lib.rs`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(String);

impl FileId {
    /// Returns the id of a path (as text), and the whole path if it is too long for an id.
    ///
    /// The id of a longer path is its beginning, `//`, and the SHA-256 of the whole path. The text of a path never looks like
    /// that, because a component after two slashes contains a byte that is written with `%`.
    #[must_use]
    pub fn of(path: &str) -> (Self, Option<String>) {
        if path.len() <= MAX_ID_BYTES {
            return (Self::new(path), None);
        }
        let hash = format!("{:x}", Sha256::digest(path));
        let room = MAX_ID_BYTES - hash.len() - "//".len();
        let beginning = path[..path.floor_char_boundary(room)].trim_end_matches('/');
        (Self::new(format!("{beginning}//{hash}")), Some(path.to_owned()))
    }
}

/// Whether a file exists at the path.
#[derive(Default, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The commit that created the file; `None` if there is no file.
    since: Option<String>,
}

/// Why a command on a file is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A file exists at the path.
    #[error("{file} already exists since commit {since}: change it, or delete it first")]
    Exists {
        /// The path.
        file: FileId,
        /// The commit that created it.
        since: String,
    },
    /// No file exists at the path.
    #[error("{0} does not exist: add it first")]
    Missing(FileId),
    /// The path does not belong to the id.
    #[error(
        "the path `{path}` does not belong to {file}: give a path only if it is longer than {MAX_ID_BYTES} bytes"
    )]
    OtherPath {
        /// The id.
        file: FileId,
        /// The path.
        path: String,
    },
}

impl File {
    /// The commit that created the file.
    #[must_use]
    pub fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }
}

/// Returns an error if no file exists.
pub(super) fn ensure_exists(file: &Loaded<File>) -> Result<(), FileError> {
    file.since().map(drop).ok_or_else(|| FileError::Missing(file.id().clone()))
}

/// The directory of a file; `path` is the whole path if it is too long for the id.
pub(super) fn directory(file: &FileId, path: Option<&str>) -> Result<String, FileError> {
    let path = match path {
        None => &file.text(),
        Some(path) if FileId::of(path).0 == *file => path,
        Some(path) => return Err(FileError::OtherPath { file: file.clone(), path: path.to_owned() }),
    };
    Ok(text::directory(path).to_owned())
}

impl Aggregate for File {
    const TYPE: &'static str = "file";
    type Id = FileId;
    type Event = FileEvent;
    type Error = FileError;

    fn apply(&mut self, event: &FileEvent) {
        match event {
            FileEvent::Added { commit, .. }
            | FileEvent::RenamedFrom { commit, .. }
            | FileEvent::Copied { commit, .. } => self.since = Some(commit.clone()),
            FileEvent::Deleted { .. } | FileEvent::RenamedTo { .. } => self.since = None,
            FileEvent::Changed { .. } | FileEvent::TypeChanged { .. } | FileEvent::MadeWay { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_too_long_is_its_own_id() {
        assert_eq!(FileId::of("src/lib.rs"), (FileId::new("src/lib.rs"), None));
        let longest = "é".repeat(MAX_ID_BYTES / 2);
        assert_eq!(FileId::of(&longest), (FileId::new(longest.clone()), None));
    }

    #[test]
    fn a_longer_path_has_a_unique_id_and_is_stored_beside_it() {
        let paths = ["a", "b", "/", "é"].map(|end| format!("src/{}{end}", "日本/".repeat(400)));
        let mut ids: Vec<FileId> = paths.iter().map(|path| FileId::of(path).0).collect();
        for (path, id) in paths.iter().zip(&ids) {
            assert!(id.reference().check().is_ok(), "{id}");
            assert_eq!(FileId::of(path).1.as_ref(), Some(path));
            assert_eq!(directory(id, Some(path)).unwrap(), text::directory(path));
            assert!(text::bytes(&id.text()).is_none_or(|bytes| text::text(&bytes) != id.text()), "{id}");
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), paths.len());
        assert!(directory(&ids[0], Some("src/other")).is_err());
    }
}
