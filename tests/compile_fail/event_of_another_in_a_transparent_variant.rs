//! A transparent variant contains an event enum.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Level(u8);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
enum LampEvent {
    #[event(transparent)]
    Dimmed { level: u8 },
    #[event(transparent, update, "{actor} lit it")]
    Lit(Level),
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
enum RoomEvent {
    #[event(transparent)]
    Level(Level),
}

fn main() {}
