//! Mission J4: two types cannot have one name.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} lit the lamp")]
    Lit,
}

mod cellar {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "lamp")]
    enum CellarEvent {
        #[event(update, "{actor} lit the lamp in the cellar")]
        Lit,
        #[event(delete, "{actor} broke it")]
        Broken,
        #[event(delete, "{actor} took it", was("broken"))]
        Taken,
    }
}

mod attic {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "lamp")]
    enum AtticEvent {
        #[event(create, "{actor} lit the lamp in the attic")]
        Lit,
    }
}

fn main() {}
