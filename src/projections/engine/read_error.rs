//! [`ReadError`]: why a projection cannot be read.

use std::time::Duration;

use super::status::UnknownEvent;
use crate::events::LogPosition;
use crate::projections::ProjectionError;
use crate::store::{MomentError, StoreError};
use crate::text::name_list;

/// An error while reading a projection.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The application has no such projection.
    #[error("there is no projection `{name}`: there are {}", name_list(.known))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The names of the application's projections.
        known: Vec<String>,
    },
    /// The application has no such reaction.
    #[error("there is no reaction `{name}`: there are {}", name_list(.known))]
    UnknownReaction {
        /// The name in the request.
        name: String,
        /// The names of the application's reactions.
        known: Vec<String>,
    },
    /// The projection failed and has stopped. The message does not repeat the reason, which may show values of the event: operators
    /// see it in the status of the projection.
    #[error(
        "the projection `{name}` stopped{}. Fix the cause (`projections status` shows it), then resume it: \
         `projections resume {name}`", at_event(*.position)
    )]
    Stopped {
        /// The projection's name.
        name: String,
        /// The position of the event that fails, if it is one event.
        position: Option<u64>,
    },
    /// The projection is blocked at an event type that this program does not know.
    #[error("the projection `{name}` is blocked {unknown}: run or query a newer version of the program")]
    Waiting {
        /// The projection's name.
        name: String,
        /// The event.
        unknown: UnknownEvent,
    },
    /// The projection did not reach the wanted position in time.
    #[error(
        "the projection `{name}` did not reach event {wanted} within {waited:?} (it is at event {position}): try again"
    )]
    Late {
        /// The projection's name.
        name: String,
        /// How long the caller waited.
        waited: Duration,
        /// The position of the projection's checkpoint.
        position: u64,
        /// The wanted position.
        wanted: u64,
    },
    /// The log does not hold the event that a receipt or cursor names, or that a reader has seen.
    #[error(
        "the log does not hold event {} at position {}: the receipt or cursor is of another store, or an older \
         backup was restored", .0.event_id, .0.position
    )]
    Diverged(LogPosition),
    /// The log does not hold the event that the projection's checkpoint names: the projection was made from another
    /// history of the log, and nothing is read from it.
    #[error(
        "the projection `{name}` was made from another log: its checkpoint is event {} at position {}, which the log \
         does not hold (was an older backup restored?). Rebuild it: `projections rebuild {name}`",
        .head.event_id, .head.position
    )]
    LogDiverged {
        /// The projection's name.
        name: String,
        /// The projection's checkpoint.
        head: LogPosition,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The moment of which a document was asked is not in the log.
    #[error(transparent)]
    Moment(#[from] MomentError),
    /// An event fails while the past of a document is folded.
    #[error("the past of `{name}` cannot be read: event {position} fails")]
    Past {
        /// The view's name.
        name: String,
        /// The event's position.
        position: u64,
        /// The cause.
        source: ProjectionError,
    },
    /// The past of a document was not found in time.
    #[error(
        "the past of `{name}` was not found within {waited:?}: the log was read up to event {position} of {until}. Ask for an earlier \
         moment, or ask on the command line, which has no limit"
    )]
    PastTooLong {
        /// The view's name.
        name: String,
        /// How long the caller waited.
        waited: Duration,
        /// The position up to which the log was read.
        position: u64,
        /// The position of the moment.
        until: u64,
    },
    /// A stored document or row has an unexpected format.
    #[error(
        "the stored row `{key}` of the projection `{name}` cannot be read: raise the projection's version to rebuild it"
    )]
    Document {
        /// The projection's name.
        name: String,
        /// The document's key.
        key: String,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// The query is invalid.
    #[error("{0}")]
    Invalid(String),
}

fn at_event(position: Option<u64>) -> String {
    position.map(|position| format!(" at event {position}")).unwrap_or_default()
}
