//! An event belongs to an aggregate.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

struct Lamp;

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp", on = Lamp)]
enum LampEvent {
    #[event(update, "{actor} dimmed {lamp} to {level}")]
    Dimmed { level: u8 },
}

fn main() {}
