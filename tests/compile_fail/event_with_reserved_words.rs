//! Reserved and invalid names.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} lit the lamp")]
    Lit { actor: String },
    #[event(change, "{actor} moved the lamp")]
    Moved,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
enum NamelessEvent {
    #[event(update, "{actor} lit the lamp")]
    Lit,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "Big Lamp")]
enum BigEvent {
    #[event(update, "{actor} lit the lamp")]
    Lit,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "any")]
enum AnyEvent<T> {
    #[event(update, "{actor} lit the lamp")]
    Lit { by: T },
}

fn main() {}
