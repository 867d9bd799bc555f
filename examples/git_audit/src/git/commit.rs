//! [`Commit`] and its [`Row`]s.

use jiff::Timestamp;

/// A commit, with what it changed against its first parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its hash, whole.
    pub hash: String,
    /// The author's e-mail address as the commit has it: any bytes, often valid UTF-8, sometimes none.
    pub email: Vec<u8>,
    /// The author date.
    pub authored: Timestamp,
    /// What it changed, in git's order.
    pub rows: Vec<Row>,
}

/// One line of `--name-status`. Paths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// `A`: it came to be.
    Added(Vec<u8>),
    /// `M`: its content or mode changed; of a submodule, the commit it stands at.
    Changed(Vec<u8>),
    /// `D`: it went away.
    Deleted(Vec<u8>),
    /// `T`: it became a thing of another type: a file, a symbolic link, a submodule.
    TypeChanged(Vec<u8>),
    /// `R100`: it moved.
    Renamed {
        /// Where it was.
        from: Vec<u8>,
        /// Where it is.
        to: Vec<u8>,
    },
    /// `C75`: it was made after another one, which stays.
    Copied {
        /// The other one.
        from: Vec<u8>,
        /// The copy.
        to: Vec<u8>,
    },
}

impl Row {
    /// The path where something is after the commit that was not there, or not so, before.
    #[must_use]
    pub fn arrives(&self) -> Option<&[u8]> {
        match self {
            Self::Added(path) | Self::Changed(path) | Self::TypeChanged(path) => Some(path),
            Self::Renamed { to, .. } | Self::Copied { to, .. } => Some(to),
            Self::Deleted(_) => None,
        }
    }

    /// The path that something left.
    #[must_use]
    pub fn departs(&self) -> Option<&[u8]> {
        match self {
            Self::Deleted(path) | Self::Renamed { from: path, .. } => Some(path),
            _ => None,
        }
    }

    /// The path that it is first of all about: where something is now, or was.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Added(path) | Self::Changed(path) | Self::Deleted(path) | Self::TypeChanged(path) => path,
            Self::Renamed { to, .. } | Self::Copied { to, .. } => to,
        }
    }
}
