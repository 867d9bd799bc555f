//! How far each projection is, and why one stopped.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::progress::Progress;
use crate::events::LogPosition;

/// How one projection stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ProjectionStatus {
    /// Its name.
    pub name: String,
    /// Its version, as this program declares it.
    pub version: u64,
    /// The generation that is read: one more for each rebuild.
    pub generation: u64,
    /// Up to where it has taken in the log.
    pub position: u64,
    /// The log's head.
    pub head: u64,
    /// How many events are between the two.
    pub lag: u64,
    /// How many events it has left out, those that queue behind others included.
    pub dead_letters: u64,
    /// The process that keeps it up with the log, if any does: a number of its own for each start of each.
    pub leader: Option<Uuid>,
    /// What it is doing.
    #[serde(flatten)]
    pub state: ProjectionState,
    /// How far a rebuild of it is, whichever process makes it, if there is one.
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
    /// It has events to take in.
    CatchingUp,
    /// It has come to an event that this program does not know, and no program that does runs it now. It is no failure:
    /// it goes on when one is started.
    Waiting(UnknownEvent),
    /// It failed, and stays where it is until it is resumed, rebuilt or started again.
    Stopped(StopInfo),
}

/// An event that this program does not know: a newer one wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct UnknownEvent {
    /// Its position.
    #[serde(rename = "event")]
    pub position: u64,
    /// Its type.
    pub event_type: String,
}

/// Why and where a projection stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct StopInfo {
    /// What went wrong, and what to do.
    pub reason: String,
    /// The event that it cannot take in, if it is one event.
    #[serde(rename = "event")]
    pub position: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// Since when it has stood.
    pub since: Timestamp,
    /// Whether the log does not hold what the projection was made from: then what it answers is wrong.
    pub diverged: bool,
    /// Where it was: elsewhere, this is history.
    #[serde(rename = "stopped_at")]
    pub(in crate::projections) at: LogPosition,
    #[serde(rename = "stopped_generation")]
    pub(super) generation: u64,
}

impl StopInfo {
    /// The log does not hold `seen`, which the projection was made up to; its checkpoint is `at`.
    pub(super) fn log_diverged(name: &str, generation: u64, seen: LogPosition, at: LogPosition) -> Self {
        let LogPosition { position, event_id } = seen;
        Self {
            reason: format!(
                "the log has diverged: it does not hold event {event_id} at position {position}, which the projection \
                 was made from (was an older backup restored?). Build it anew: `projections rebuild {name}`"
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
    /// Whether it stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, ProjectionState::Stopped(_))
    }
}

impl fmt::Display for UnknownEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, event_type } = self;
        write!(f, "before event {position} for a program that knows the event type `{event_type}`")
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
            Self::Waiting(unknown) => write!(f, "waiting {unknown}"),
            Self::Stopped(stop) => write!(f, "stopped {stop}"),
        }
    }
}
