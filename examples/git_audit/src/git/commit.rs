//! [`Commit`] and its [`Row`]s.

use jiff::Timestamp;

/// A commit and its changes against the first parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The full hash.
    pub hash: String,
    /// The author's e-mail address: any bytes, usually valid UTF-8, may be empty.
    pub email: Vec<u8>,
    /// The author date.
    pub authored: Timestamp,
    /// The changed paths, in the order of git.
    pub rows: Vec<Row>,
}

/// One line of `--name-status`. Paths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// `A`: the file was added.
    Added(Vec<u8>),
    /// `M`: its content or mode changed, or the commit of a submodule.
    Changed(Vec<u8>),
    /// `D`: the file was deleted.
    Deleted(Vec<u8>),
    /// `T`: its type changed: file, symbolic link, submodule.
    TypeChanged(Vec<u8>),
    /// `R100`: the file was renamed.
    Renamed {
        /// The old path.
        from: Vec<u8>,
        /// The new path.
        to: Vec<u8>,
    },
    /// `C75`: the file was copied.
    Copied {
        /// The source.
        from: Vec<u8>,
        /// The copy.
        to: Vec<u8>,
    },
}

impl Row {
    /// The path that has new content after the commit.
    #[must_use]
    pub fn arrives(&self) -> Option<&[u8]> {
        match self {
            Self::Added(path) | Self::Changed(path) | Self::TypeChanged(path) => Some(path),
            Self::Renamed { to, .. } | Self::Copied { to, .. } => Some(to),
            Self::Deleted(_) => None,
        }
    }

    /// The path that has no file after the commit, unless another row adds one.
    #[must_use]
    pub fn departs(&self) -> Option<&[u8]> {
        match self {
            Self::Deleted(path) | Self::Renamed { from: path, .. } => Some(path),
            _ => None,
        }
    }

    /// The main path of the row: the new path, or the deleted one.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Added(path) | Self::Changed(path) | Self::Deleted(path) | Self::TypeChanged(path) => path,
            Self::Renamed { to, .. } | Self::Copied { to, .. } => to,
        }
    }
}
