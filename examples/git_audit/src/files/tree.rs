//! The view `Tree`: the current files by path.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{FileEvent, FileId};

/// A current file. The keys of the view are the paths that `git ls-tree -r --name-only HEAD` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The whole path, if it is too long for the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The commit that created it at this path.
    pub since: String,
    /// The latest commit that changed it.
    pub commit: String,
    /// The author of that commit.
    pub actor: Ref,
    /// The author date of that commit.
    pub at: String,
}

impl DocumentView for Tree {
    const NAME: &'static str = "tree";
    type Key = FileId;
    type Events = FileEvent;
}

impl On<FileEvent> for Tree {
    fn keys(event: &Recorded<FileEvent>) -> Vec<FileId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &FileId, event: &Recorded<FileEvent>) {
        let touched = |since: &str, path: &Option<String>| Self {
            path: path.clone(),
            since: since.to_owned(),
            commit: event.metadata.correlation.clone().unwrap_or_default(),
            actor: event.metadata.actor.clone(),
            at: event.occurred_at.to_string(),
        };
        *document = match (&event.event, document.take()) {
            (FileEvent::Deleted { .. } | FileEvent::RenamedTo { .. }, _) => None,
            (
                FileEvent::Added { commit, path, .. }
                | FileEvent::RenamedFrom { commit, path, .. }
                | FileEvent::Copied { commit, path, .. },
                _,
            ) => Some(touched(commit, path)),
            (FileEvent::Changed { .. } | FileEvent::TypeChanged { .. }, Some(file)) => {
                Some(touched(&file.since, &file.path))
            }
            (FileEvent::MadeWay { .. }, file) => file,
            (FileEvent::Changed { .. } | FileEvent::TypeChanged { .. }, None) => None,
        };
    }
}
