//! Words in the wrong places.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "note")]
enum NoteEvent {
    #[event(create, "{actor} wrote the note", source)]
    Written { from: Ref },
    #[event(update, "{actor} changed the note")]
    Changed {
        #[event(source, source)]
        from: Ref,
        #[event(target, origin)]
        to: Ref,
    },
}

fn main() {}
