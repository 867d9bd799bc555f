//! A view must handle each of its events.

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
struct OpenDoor {
    #[on(Door)]
    door: DoorId,
}

impl Handle for OpenDoor {
    fn handle(&self, _: &Loaded<Door>, _: &Context) -> Result<Vec<DoorEvent>, std::convert::Infallible> {
        Ok(vec![DoorEvent::Opened])
    }
}

#[derive(Serialize, Deserialize)]
struct Visits {
    count: u64,
}

impl DocumentView for Visits {
    const NAME: &'static str = "visits";
    type Key = DoorId;
    type Events = DoorEvent;
}

fn main() {
    let _ = App::new("doors").command::<OpenDoor>().view::<Visits>();
}
