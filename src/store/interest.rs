//! [`Interest`]: the events that a reader wants, and [`Page`], some of them.

use crate::events::{LogPosition, Stored};

/// The events that a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Interest {
    /// All of them.
    #[default]
    All,
    /// Events with one of these type names in the log, old names included.
    EventTypes(Vec<String>),
}

impl Interest {
    /// Returns whether the event is wanted.
    #[must_use]
    pub fn wants(&self, stored: &Stored) -> bool {
        match self {
            Self::All => true,
            Self::EventTypes(types) => types.contains(&stored.event_type),
        }
    }
}

/// The wanted events after a position, and the position up to which they are complete.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The wanted events, in order.
    pub events: Vec<Stored>,
    /// No wanted event up to here is missing. Where the page begins, if there are no new events.
    pub to: LogPosition,
}
