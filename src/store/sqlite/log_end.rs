//! The end of the log as an append moves it on: ids and times that never go back.

use jiff::{SignedDuration, Timestamp};

use crate::events::LogPosition;
use crate::store::Clock;
use crate::store::clock::{self, Skew};
use crate::store::event_ids::next_id;

/// The application's clock, bounded by the machine's.
pub(super) struct BoundedClock {
    clock: Clock,
    /// Nobody else appends to a private store: its clock may say anything.
    private: bool,
    skew: Skew,
}

/// One reading of the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    /// What the application's clock says.
    said: Timestamp,
    /// What the machine's clock says.
    own: Timestamp,
}

impl ClockReading {
    /// The earlier of the two.
    pub(super) fn time(self) -> Timestamp {
        self.said.min(self.own)
    }
}

impl BoundedClock {
    pub(super) fn new(clock: Clock, private: bool) -> Self {
        Self { clock, private, skew: Skew::default() }
    }

    pub(super) fn now(&self) -> ClockReading {
        let said = (self.clock)();
        ClockReading { said, own: if self.private { said } else { Timestamp::now() } }
    }

    /// Sees that an event can be recorded now; answers why not. `days` looks the operator's limit up.
    pub(super) fn check<E>(
        &self,
        now: ClockReading,
        end: &LogEnd,
        days: impl FnOnce() -> Result<Option<i64>, E>,
    ) -> Result<Option<String>, E> {
        let ClockReading { said, own } = now;
        if self.private {
            return Ok(None);
        }
        let last = match Timestamp::from_microsecond(end.recorded_at) {
            Ok(last) if end.head.position > 0 => last,
            Ok(_) => own,
            Err(error) => return Ok(Some(format!("the time of its last event cannot be read ({error})"))),
        };
        self.skew.look(said, now.time().max(last));
        let (program, machine) = (said.duration_since(own), now.time().duration_since(last));
        if program <= SignedDuration::from_mins(1) && machine <= SignedDuration::from_hours(24) {
            return Ok(None);
        }
        let limit = SignedDuration::from_hours(24 * days()?.unwrap_or(clock::DAYS));
        let what = match (program > limit, machine > limit) {
            (true, _) => format!("the clock of this program says {said}, the clock of the machine {own}"),
            (_, true) => format!("the clock of the machine says {own}, its last event was recorded at {last}"),
            _ => return Ok(None),
        };
        Ok(Some(format!("{what}: {}", clock::advice("meta"))))
    }
}

/// The end of the log, as the append moves it on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogEnd {
    pub(super) head: LogPosition,
    /// Microseconds since 1970.
    pub(super) recorded_at: i64,
}

impl LogEnd {
    /// The time of what is recorded now: the clock's, or that of the last event if the clock is behind it.
    pub(super) fn time(&self, clock: Timestamp) -> i64 {
        let now = clock.as_microsecond();
        if self.head.position == 0 { now } else { now.max(self.recorded_at) }
    }

    /// Goes on to the next event, recorded at `time`.
    pub(super) fn advance(&mut self, time: i64, clock: Timestamp) {
        self.head = LogPosition { position: self.head.position + 1, event_id: next_id(self.head.event_id, clock) };
        self.recorded_at = time;
    }
}
