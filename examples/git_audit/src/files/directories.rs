//! Where how much happens.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::FileEvent;

/// What happened right in one directory, by its path; the root is `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    /// How many events.
    pub events: u64,
    /// When the latest of them happened.
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
