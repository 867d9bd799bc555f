//! The events of a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{File, FileId};

/// An event of a file. The correlation id is the commit; the topic is the directory.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "file", topic = "{*directory}", on = File)]
pub enum FileEvent {
    /// The file was added.
    #[event(create, "{actor} added {file}")]
    Added {
        /// Its directory.
        directory: String,
        /// The commit.
        commit: String,
        /// The whole path, if it is too long for the id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Its content or mode changed.
    #[event(update, "{actor} changed {file}")]
    Changed {
        /// Its directory.
        directory: String,
    },
    /// Its type changed: file, symbolic link, submodule.
    #[event(update, "{actor} changed the type of {file}")]
    TypeChanged {
        /// Its directory.
        directory: String,
    },
    /// The file was deleted.
    #[event(delete, "{actor} deleted {file}")]
    Deleted {
        /// Its directory.
        directory: String,
    },
    /// The file was renamed to another path.
    #[event(delete, "{actor} renamed {file} to {to}")]
    RenamedTo {
        /// Its directory.
        directory: String,
        /// The new path.
        #[event(target)]
        to: FileId,
    },
    /// The old file was renamed to another path after a new one took its place in the same commit. The new one stays.
    #[event(update, "{actor} renamed {file}, as it was, to {to}")]
    MadeWay {
        /// Its directory.
        directory: String,
        /// The new path.
        #[event(target)]
        to: FileId,
    },
    /// The file was renamed from another path. It replaces a file that was at this path.
    #[event(create, "{actor} renamed {from} to {file}")]
    RenamedFrom {
        /// Its directory.
        directory: String,
        /// The commit.
        commit: String,
        /// The old path.
        #[event(target, source)]
        from: FileId,
        /// The whole path, if it is too long for the id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// The file was copied from another path. It replaces a file that was at this path.
    #[event(create, "{actor} copied {from} to {file}")]
    Copied {
        /// Its directory.
        directory: String,
        /// The commit.
        commit: String,
        /// The source of the copy.
        #[event(target, source)]
        from: FileId,
        /// The whole path, if it is too long for the id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
}

impl FileEvent {
    /// The directory of the file.
    #[must_use]
    pub fn directory(&self) -> &str {
        match self {
            Self::Added { directory, .. }
            | Self::Changed { directory }
            | Self::TypeChanged { directory }
            | Self::Deleted { directory }
            | Self::RenamedTo { directory, .. }
            | Self::MadeWay { directory, .. }
            | Self::RenamedFrom { directory, .. }
            | Self::Copied { directory, .. } => directory,
        }
    }
}
