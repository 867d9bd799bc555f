//! [`ProjectionStatus`]: how far a projection is, and why it stopped.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::progress::Progress;
use crate::events::LogPosition;

/// The status of one projection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ProjectionStatus {
    /// The projection's name.
    pub name: String,
    /// The version that this program declares.
    pub version: u64,
    /// The live generation: each rebuild adds one.
    pub generation: u64,
    /// The position of the checkpoint: all events up to it are processed.
    pub position: u64,
    /// The position of the log's head.
    pub head: u64,
    /// Consumer lag: the number of events between the two.
    pub lag: u64,
    /// The number of dead letters: skipped events, and events that queue behind them.
    pub dead_letters: u64,
    /// The process that runs the projection, if any: a random id for each start of a process.
    pub leader: Option<Uuid>,
    /// How often this process started a background task of the projection again after a panic.
    pub restarts: u64,
    /// What the projection is doing.
    #[serde(flatten)]
    pub state: ProjectionState,
    /// Progress of a rebuild in any process, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Progress>,
}

/// What a projection is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProjectionState {
    /// It follows the log's head.
    Live,
    /// It has events to process.
    CatchingUp,
    /// It is blocked at an event type that this program does not know, and no program that knows it runs. This is
    /// no failure: it continues when a newer program starts.
    Waiting(UnknownEvent),
    /// It failed, and stays stopped until it is resumed, rebuilt or its program is restarted.
    Stopped(StopInfo),
}

/// An event of a type that this program does not know: a newer program wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct UnknownEvent {
    /// The event's position.
    #[serde(rename = "event")]
    pub position: u64,
    /// The event's type.
    pub event_type: String,
}

/// Why and where a projection stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct StopInfo {
    /// The cause and the remedy.
    pub reason: String,
    /// The position of the event that fails, if it is one event.
    #[serde(rename = "event")]
    pub position: Option<u64>,
    /// The number of attempts.
    pub attempts: u32,
    /// When it stopped.
    pub since: Timestamp,
    /// Whether the log does not hold the event at the projection's checkpoint: then its content is wrong.
    pub diverged: bool,
    /// The checkpoint where it stopped; the note is obsolete at any other checkpoint.
    #[serde(rename = "stopped_at")]
    pub(in crate::projections) at: LogPosition,
    #[serde(rename = "stopped_generation")]
    pub(super) generation: u64,
}

impl StopInfo {
    /// The log does not hold `seen`, the last event that the projection processed; its checkpoint is `at`.
    pub(super) fn log_diverged(name: &str, generation: u64, seen: LogPosition, at: LogPosition) -> Self {
        let LogPosition { position, event_id } = seen;
        Self {
            reason: format!(
                "the log has diverged: it does not hold event {event_id} at position {position}, which the projection \
                 was made from (was an older backup restored?). Rebuild it: `projections rebuild {name}`"
            ),
            position: None,
            attempts: 1,
            since: Timestamp::now(),
            diverged: true,
            at,
            generation,
        }
    }
}

impl ProjectionStatus {
    /// Whether the projection has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ProjectionState::Stopped(_))
    }
}

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, event_type } = self;
        write!(f, "at event {position}: this program does not know the event type `{event_type}`")
    }
}

impl fmt::Display for StopInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "at event {position}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl fmt::Display for ProjectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::CatchingUp => f.write_str("catching up"),
            Self::Waiting(unknown) => write!(f, "blocked {unknown}"),
            Self::Stopped(stop) => write!(f, "stopped {stop}"),
        }
    }
}
