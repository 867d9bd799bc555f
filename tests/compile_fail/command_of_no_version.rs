//! Versions of commands that are none.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LampId(String);

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(version = 0)]
struct TurnOn {
    #[on(Lamp)]
    lamp: LampId,
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(version = "2")]
struct TurnOff {
    #[on(Lamp)]
    lamp: LampId,
}

#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(version = 4294967296)]
struct Dim {
    #[on(Lamp)]
    lamp: LampId,
}

fn main() {}
