//! A command must name its aggregate.

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

/// Open it.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct OpenDoor {
    door: DoorId,
}

impl Handle for OpenDoor {
    fn handle(&self, door: &Loaded<Door>, _: &Context) -> Result<Vec<DoorEvent>, std::convert::Infallible> {
        Ok(if door.open { Vec::new() } else { vec![DoorEvent::Opened] })
    }
}

fn needs<C: Handle>() {}

fn main() {
    needs::<OpenDoor>();
}
