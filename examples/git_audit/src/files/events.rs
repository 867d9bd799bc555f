//! What can happen to a file.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{File, FileId};

/// Something happened to a file, in a commit (the event's correlation). Each event says in which directory: that is
/// its topic.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "file", topic = "{*directory}", on = File)]
pub enum FileEvent {
    /// It came to be.
    #[event(create, "{actor} added {file}")]
    Added {
        /// Where it lies.
        directory: String,
        /// Since which commit.
        commit: String,
        /// The whole path, where the id has not room for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// Its content or its mode changed.
    #[event(update, "{actor} changed {file}")]
    Changed {
        /// Where it lies.
        directory: String,
    },
    /// It became a thing of another type: file, symbolic link, submodule.
    #[event(update, "{actor} changed the type of {file}")]
    TypeChanged {
        /// Where it lies.
        directory: String,
    },
    /// It went away.
    #[event(delete, "{actor} deleted {file}")]
    Deleted {
        /// Where it lay.
        directory: String,
    },
    /// It went to another path.
    #[event(delete, "{actor} renamed {file} to {to}")]
    RenamedTo {
        /// Where it lay.
        directory: String,
        /// Where it went.
        #[event(target)]
        to: FileId,
    },
    /// It went to another path, and what took its place in the same commit stays.
    #[event(update, "{actor} renamed {file}, as it was, to {to}")]
    MadeWay {
        /// Where it lay.
        directory: String,
        /// Where it went.
        #[event(target)]
        to: FileId,
    },
    /// It came from another path. What was here, if anything, is gone.
    #[event(create, "{actor} renamed {from} to {file}")]
    RenamedFrom {
        /// Where it lies.
        directory: String,
        /// Since which commit.
        commit: String,
        /// Where it came from.
        #[event(target)]
        from: FileId,
        /// The whole path, where the id has not room for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// It was made after another one. What was here, if anything, is gone.
    #[event(create, "{actor} copied {from} to {file}")]
    Copied {
        /// Where it lies.
        directory: String,
        /// Since which commit.
        commit: String,
        /// What it was made after.
        #[event(target)]
        from: FileId,
        /// The whole path, where the id has not room for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
}

impl FileEvent {
    /// The directory that it happened in.
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
