//! A placeholder names a field, the actor or the aggregate.

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

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp", topic = "lamp/{where}")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {levl}")]
    Dimmed { level: u8 },
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "visit", on = Door)]
enum VisitEvent {
    #[event(view, "{guest} came through {door}")]
    Came { guest: String },
    #[event(view, "{gest} left through {door}")]
    Left { guest: String },
    #[event(view, "{guest} moved at {gate}", topic = "{gate}/visits")]
    Moved { guest: String },
}

fn main() {
    let _ = LampEvent::Dimmed { level: 1 }.encode();
    let _ = VisitEvent::Left { guest: String::new() }.encode();
}
