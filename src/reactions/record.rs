//! [`ReactionRecord`]: the aggregate of a reaction.

use std::convert::Infallible;

use annals_macros::{Event, Id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregates::Aggregate;
use crate::events::Ref;

/// The id of the record of a reaction: its name.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_reaction")]
pub struct ReactionId(String);

/// What was decided about a reaction. Each of its commands is decided on it.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct ReactionRecord {
    /// The newest version that was started; 0 before the first.
    pub version: u32,
}

impl Aggregate for ReactionRecord {
    const TYPE: &'static str = "annals_reaction";
    type Id = ReactionId;
    type Event = ReactionEvent;
    type Error = Infallible;

    fn apply(&mut self, event: &ReactionEvent) {
        if let ReactionEvent::Started { version } = event {
            self.version = self.version.max(*version);
        }
    }
}

/// The events of a reaction's record. A step whose command decided events is not among them: its events are in the log.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_reaction", topic = "annals/reaction", on = ReactionRecord)]
pub enum ReactionEvent {
    /// A version was started.
    #[event(create, "{actor} started version {version}")]
    Started {
        /// The version.
        version: u32,
    },
    /// The command of a step was refused. The reaction continues.
    #[event(refuse, "{actor} was refused {command} for {on}: {reason}")]
    Refused {
        /// The command's name.
        command: String,
        /// The aggregate whose event led to it.
        #[event(target)]
        on: Ref,
        /// The id of that event.
        event: Uuid,
        /// The position of that event.
        position: u64,
        /// The reason.
        reason: String,
    },
    /// The command of a step was executed, and decided that nothing changes.
    #[event(update, "{actor} executed {command} for {on}, which changed nothing")]
    ChangedNothing {
        /// The command's name.
        command: String,
        /// The aggregate whose event led to it.
        #[event(target)]
        on: Ref,
        /// The id of that event.
        event: Uuid,
    },
    /// Somebody decided that a step is not to be done.
    #[event(update, "{actor} skipped a step for {on}: {why}")]
    Skipped {
        /// The aggregate whose event led to it.
        #[event(target)]
        on: Ref,
        /// The position of the event that led to it.
        position: u64,
        /// The command id of the step.
        step: Uuid,
        /// The reason.
        why: String,
    },
    /// Somebody decided that a step is done after all that was refused or skipped.
    #[event(update, "{actor} did a step for {on} again: {why}")]
    Replayed {
        /// The aggregate whose event led to it.
        #[event(target)]
        on: Ref,
        /// The command id of the step, under which it was refused or skipped.
        step: Uuid,
        /// The reason.
        why: String,
    },
}

/// The type names in the log that the projection needs.
pub(super) const STARTED: &str = "annals_reaction.started";
