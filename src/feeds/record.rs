//! [`FeedRecord`]: the aggregate of a feed.

use std::convert::Infallible;

use annals_macros::{Event, Id};
use serde::{Deserialize, Serialize};

use crate::aggregates::Aggregate;

/// The id of the record of a feed: its name.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_feed")]
pub struct FeedId(String);

/// The start, the pauses and the resumes of a feed, as the log has them.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct FeedRecord {
    /// The position after which it begins, once it was started.
    pub started: Option<u64>,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// How often it was resumed: a feed that stopped then tries again.
    pub resumed: u64,
    /// The position of the next event to send, if a resume moved it; and which resume it was.
    pub moved: Option<(u64, u64)>,
}

impl Aggregate for FeedRecord {
    const TYPE: &'static str = "annals_feed";
    type Id = FeedId;
    type Event = FeedEvent;
    type Error = Infallible;

    fn apply(&mut self, event: &FeedEvent) {
        match event {
            FeedEvent::Started { after } => self.started = Some(*after),
            FeedEvent::Paused { why } => self.paused = Some(why.clone()),
            FeedEvent::Resumed { from, .. } => {
                (self.paused, self.resumed) = (None, self.resumed + 1);
                self.moved = from.map(|from| (from, self.resumed)).or(self.moved);
            }
        }
    }
}

/// The events of a feed's record. What it sends is not recorded.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_feed", topic = "annals/feed", on = FeedRecord)]
pub enum FeedEvent {
    /// It was started for the first time.
    #[event(create, "{actor} started after event {after}")]
    Started {
        /// The position after which it begins.
        after: u64,
    },
    /// Somebody decided that it sends nothing for now.
    #[event(update, "{actor} paused {annals_feed}: {why}")]
    Paused {
        /// The reason.
        why: String,
    },
    /// Somebody decided that it sends again.
    #[event(update, "{actor} resumed {annals_feed}: {why}")]
    Resumed {
        /// The position of the next event to send, if it was moved there: an earlier one is sent again, and what is before a later
        /// one is left out.
        from: Option<u64>,
        /// The reason.
        why: String,
    },
}
