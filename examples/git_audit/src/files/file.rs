//! The file: a path, and what decisions need to know of it.

use annals::events::MAX_ID_BYTES;
use annals::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FileEvent;
use crate::git::text;

/// Names a file by its path, as [`text`](crate::git::text::text): `file:src/lib.rs`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(String);

impl FileId {
    /// The id of a path (as text); and the whole path where an id has not room for it.
    ///
    /// A longer path keeps its beginning, then `//` and the SHA-256 of all of it: no path's own text looks like that,
    /// because a component after two slashes is there for a byte that is written with `%`.
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

/// Whether something is at the path.
#[derive(Default, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The commit in which what is there now came to be; `None` when nothing is there.
    since: Option<String>,
}

/// Why a command on a file is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is a file at the path.
    #[error("{file} is there already, since commit {since}: change it, or delete it first")]
    Exists {
        /// The path.
        file: FileId,
        /// When what is there came to be.
        since: String,
    },
    /// There is no file at the path.
    #[error("there is no {0}: add it first")]
    Missing(FileId),
    /// The path is not the one that the id names.
    #[error("the path `{path}` is not that of {file}: leave it out, unless it is longer than {MAX_ID_BYTES} bytes")]
    OtherPath {
        /// The id.
        file: FileId,
        /// The path.
        path: String,
    },
}

impl File {
    /// The commit in which what is there now came to be.
    #[must_use]
    pub fn since(&self) -> Option<&str> {
        self.since.as_deref()
    }
}

/// Whether something is there.
pub(super) fn ensure_there(file: &Loaded<File>) -> Result<(), FileError> {
    file.since().map(drop).ok_or_else(|| FileError::Missing(file.id().clone()))
}

/// The directory of a file; `path` is the whole path where the id has not room for it.
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
    fn a_path_is_its_own_id_as_long_as_there_is_room() {
        assert_eq!(FileId::of("src/lib.rs"), (FileId::new("src/lib.rs"), None));
        let longest = "é".repeat(MAX_ID_BYTES / 2);
        assert_eq!(FileId::of(&longest), (FileId::new(longest.clone()), None));
    }

    #[test]
    fn a_longer_path_has_an_id_of_its_own_and_is_kept_whole_beside_it() {
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
