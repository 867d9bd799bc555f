//! Mission J7: loaded states and recorded events are immutable.

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

fn tamper(door: &mut Loaded<Door>, recorded: &mut annals::events::Recorded<DoorEvent>) {
    door.open = true;
    **recorded = DoorEvent::Opened;
    door.state().open = true;
}

fn main() {}
