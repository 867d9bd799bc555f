//! The log stores a variant's content without serde's tag, and identifies a variant by its index.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
#[serde(tag = "kind")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp")]
    Dimmed { level: u8 },
    #[event(update, "{actor} lit the lamp")]
    #[serde(skip)]
    Lit,
}

fn main() {}
