//! Personal fields in places where they would be readable, or nobody's.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "guest", topic = "guest/{name}")]
enum GuestEvent {
    #[event(create, "{actor} invited {name}")]
    Invited {
        #[event(personal)]
        name: Personal<String>,
    },
    #[event(update, "{actor} invited {name} again", topic = "guest")]
    Again { name: Personal<String> },
    #[event(update, "{actor} introduced {name} to {friend}", topic = "guest")]
    Introduced {
        #[event(target, personal)]
        friend: Personal<String>,
        #[event(personal = nobody)]
        name: Personal<String>,
    },
}

fn main() {}
