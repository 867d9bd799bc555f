//! An upcaster is a function from JSON to JSON.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

fn v1(payload: String) -> String {
    payload
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {level}", version = 2, from(1 = v1))]
    Dimmed { level: u8 },
}

fn main() {}
