//! What a sender remembers while it leads, and why it does not send.

use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoint;
use super::sink::Connection;
use crate::events::LogPosition;
use crate::store::StoreError;
use crate::text::error_chain;

/// The first and the longest delay after a failure.
const SHORTEST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// Why a sender does not go on by itself.
pub(super) enum Halt {
    /// The application closes.
    Closed,
    /// Another process has moved the checkpoint.
    Moved,
}

/// Why nothing was sent.
pub(super) enum Failure {
    /// It may succeed later.
    Passing(String),
    /// Somebody has to look.
    Lasting(String),
    Halt(Halt),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::Halt(Halt::Closed),
            error => Self::Passing(error_chain(&error)),
        }
    }
}

/// What a sender remembers while it leads.
pub(super) struct Run {
    pub(super) checkpoint: Checkpoint,
    /// The event up to which nothing else matches: at or after the checkpoint.
    pub(super) seen: LogPosition,
    pub(super) moved: Instant,
    pub(super) connection: Option<Box<dyn Connection>>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How often the feed was resumed when it stopped.
    pub(super) stopped: Option<u64>,
    /// Whether there is no note of an earlier problem.
    pub(super) cleared: bool,
}

impl Run {
    pub(super) fn new(checkpoint: Checkpoint) -> Self {
        let seen = checkpoint.head;
        Self {
            checkpoint,
            seen,
            moved: Instant::now(),
            connection: None,
            failures: 0,
            stopped: None,
            cleared: false,
        }
    }
}

/// The delay after so many failures in a row: doubled each time, at most [`LONGEST_DELAY`], with some chance, so that the feeds of
/// several programs do not come together.
pub(crate) fn pause(failures: u32) -> Duration {
    let delay = SHORTEST_DELAY.saturating_mul(1 << failures.min(12)).min(LONGEST_DELAY);
    delay.mul_f64(0.75 + fastrand::f64() / 2.0)
}
