//! The end of the log as an append moves it on: ids and times that never go back.

use jiff::Timestamp;

use crate::events::Head;
use crate::store::ids::next_id;

/// The end of the log, as the append moves it on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    pub(super) head: Head,
    /// Microseconds since 1970.
    pub(super) recorded_at: i64,
}

impl Tail {
    /// The time of what is recorded now: the clock's, or that of the last event if the clock is behind it.
    pub(super) fn time(&self, clock: Timestamp) -> i64 {
        let now = clock.as_microsecond();
        if self.head.position == 0 { now } else { now.max(self.recorded_at) }
    }

    /// Goes on to the next event, recorded at `time`.
    pub(super) fn advance(&mut self, time: i64, clock: Timestamp) {
        self.head = Head { position: self.head.position + 1, event_id: next_id(self.head.event_id, clock) };
        self.recorded_at = time;
    }
}
