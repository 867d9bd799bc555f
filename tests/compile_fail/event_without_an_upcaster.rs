//! Payloads of every version must be readable.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

type Payload = Result<serde_json::Value, annals::BoxError>;

fn v1(payload: serde_json::Value) -> Payload {
    Ok(payload)
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "lamp")]
enum LampEvent {
    #[event(update, "{actor} dimmed the lamp to {level}", version = 3, from(1 = v1))]
    Dimmed { level: u8 },
    #[event(update, "{actor} lit the lamp", from(1 = v1))]
    Lit,
}

fn main() {}
