//! Braces must match, and a segment of a topic is text or a placeholder.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {level")]
    Dimmed { level: u8 },
    #[event(update, "{actor} lit the lamp :-}")]
    Lit,
    #[event(update, "{actor} moved the lamp", topic("room-{room}/lamps", "/lamps"))]
    Moved { room: String },
}

fn main() {}
