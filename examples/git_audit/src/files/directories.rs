//! The view `Directories`.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::FileEvent;

/// The events of the files of one directory, without those below it. The key is the path; the root is `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    /// Number of events.
    pub events: u64,
    /// Time of the latest event.
    pub latest: String,
}

impl DocumentView for Directories {
    const NAME: &'static str = "directories";
    type Key = String;
    type Events = FileEvent;
}

impl On<FileEvent> for Directories {
    fn keys(event: &Recorded<FileEvent>) -> Vec<String> {
        match event.directory() {
            "" => vec!["/".to_owned()],
            directory => vec![directory.to_owned()],
        }
    }

    fn apply(document: &mut Option<Self>, _: &String, event: &Recorded<FileEvent>) {
        let directory = document.get_or_insert_default();
        directory.events += 1;
        directory.latest = event.occurred_at.to_string();
    }
}
