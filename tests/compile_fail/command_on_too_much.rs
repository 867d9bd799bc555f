//! A scope has at most three aggregates, or one list.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DoorId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "door", on = Door)]
enum DoorEvent {
    #[event(update, "{actor} opened {door}")]
    Opened,
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Door {
    open: bool,
}

impl Aggregate for Door {
    const TYPE: &'static str = "door";
    type Id = DoorId;
    type Event = DoorEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, event: &DoorEvent) {
        match event {
            DoorEvent::Opened => self.open = true,
        }
    }
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct OpenFour {
    #[on(Door)]
    one: DoorId,
    #[on(Door)]
    two: DoorId,
    #[on(Door)]
    three: DoorId,
    #[on(Door)]
    four: DoorId,
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct OpenMany {
    #[on(Door)]
    first: DoorId,
    #[on(Door)]
    others: Vec<DoorId>,
}

fn main() {}
