//! [`LogTime`]: the time by which rights end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Clock, Store};
use crate::events::LogPosition;

/// The time by which rights end: that of the application's clock, but never before the log's last event. So a right that has
/// ended stays ended when the clock is set back. Clones share what they know.
#[derive(Clone)]
pub(crate) struct LogTime {
    clock: Clock,
    head: watch::Receiver<LogPosition>,
    /// The latest time at which the store has refused a commit as too late, in microseconds.
    reached: Arc<AtomicI64>,
}

impl LogTime {
    pub(crate) fn new(clock: Clock, store: &dyn Store) -> Self {
        Self { clock, head: store.watch(), reached: Arc::new(AtomicI64::new(i64::MIN)) }
    }

    /// Returns the time of the application's clock.
    pub(crate) fn clock(&self) -> Timestamp {
        (self.clock)()
    }

    /// Returns when the log's last event was recorded, in whole milliseconds.
    pub(crate) fn recorded(&self) -> Timestamp {
        recorded_about(self.head.borrow().event_id)
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        let last = self.recorded();
        let reached = Timestamp::from_microsecond(self.reached.load(Ordering::Relaxed));
        self.clock().max(last).max(reached.unwrap_or(Timestamp::MIN))
    }

    /// The log has reached this time.
    pub(crate) fn reach(&self, time: Timestamp) {
        self.reached.fetch_max(time.as_microsecond(), Ordering::Relaxed);
    }
}

/// The time in an event id, in whole milliseconds; the earliest time for an empty log.
fn recorded_about(event_id: Uuid) -> Timestamp {
    let parts = event_id.get_timestamp().map(|time| time.to_unix());
    let time = parts.map(|(seconds, nanos)| (i64::try_from(seconds), i32::try_from(nanos)));
    match time {
        Some((Ok(seconds), Ok(nanos))) => Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MIN),
        _ => Timestamp::MIN,
    }
}
