//! A target is an id.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} gave the lamp to {owner}")]
    Given {
        #[event(target)]
        owner: String,
    },
}

fn main() {}
