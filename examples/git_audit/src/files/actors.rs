//! The view `Actors`.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::FileEvent;

/// The events of one actor. The key is the actor's reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actors {
    /// Number of events.
    pub events: u64,
    /// Time of the latest event.
    pub latest: String,
}

impl DocumentView for Actors {
    const NAME: &'static str = "actors";
    type Key = Ref;
    type Events = FileEvent;
}

impl On<FileEvent> for Actors {
    fn keys(event: &Recorded<FileEvent>) -> Vec<Ref> {
        vec![event.metadata.actor.clone()]
    }

    fn apply(document: &mut Option<Self>, _: &Ref, event: &Recorded<FileEvent>) {
        let actor = document.get_or_insert_default();
        actor.events += 1;
        actor.latest = event.occurred_at.to_string();
    }
}
