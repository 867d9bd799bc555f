//! A source in a role that there is not.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "report")]
enum ReportEvent {
    #[event(create, "{actor} wrote the report from {from}")]
    Written {
        #[event(source = "part")]
        from: Ref,
    },
}

fn main() {}
