//! A source that is not an id.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "report")]
enum ReportEvent {
    #[event(create, "{actor} wrote the report from {from}")]
    Written {
        #[event(source)]
        from: String,
    },
}

fn main() {}
