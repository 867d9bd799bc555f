//! Mission J5: every variant has a sentence.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {level}")]
    Dimmed { level: u8 },
    Lit { level: u8 },
    #[event(delete)]
    Broken,
    #[event("{actor} looked")]
    Seen,
}

fn main() {
    let _ = LampEvent::Lit { level: 1 }.encode();
}
