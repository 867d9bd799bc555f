//! Only a `Change` has `from` and `to`.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp from {level.from} to {level.to}")]
    Dimmed { level: u8 },
    #[event(update, "{actor} coloured the lamp {colour.new}")]
    Coloured { colour: Change<String> },
}

fn main() {}
