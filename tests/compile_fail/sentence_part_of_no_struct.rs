//! A sentence names a part of a struct that the struct has; text, numbers, lists and targets have no parts.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LampId(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Light {
    level: u8,
    colour: String,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {light.levl}")]
    Dimmed { light: Light },
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "bulb")]
enum BulbEvent {
    #[event(update, "{actor} lit {lamps.colour} of {lights.level} and {names.first}")]
    Lit {
        #[event(target)]
        lamps: Vec<LampId>,
        lights: Vec<Light>,
        names: String,
    },
    #[event(update, "{actor} bought {count|bulb}")]
    Bought { count: u8 },
}

fn main() {}
