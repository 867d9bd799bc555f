//! [`LogEnd`]: the last event during an append, with ids and times that never decrease; [`BoundedClock`]: the clock for
//! them.

use jiff::{SignedDuration, Timestamp};

use crate::events::LogPosition;
use crate::store::Clock;
use crate::store::clock::{self, Skew};
use crate::store::event_ids::next_id;

/// The application's clock, bounded by this machine's clock.
pub(in crate::store) struct BoundedClock {
    clock: Clock,
    /// No other process appends to a private store: its clock may have any time.
    private: bool,
    skew: Skew,
}

/// One reading of the clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    /// The time of the application's clock.
    application: Timestamp,
    /// The time of this machine's clock.
    machine: Timestamp,
}

impl ClockReading {
    /// Returns the earlier time.
    pub(super) fn time(self) -> Timestamp {
        self.application.min(self.machine)
    }
}

impl BoundedClock {
    pub(in crate::store) fn new(clock: Clock, private: bool) -> Self {
        Self { clock, private, skew: Skew::default() }
    }

    pub(super) fn now(&self) -> ClockReading {
        let application = (self.clock)();
        ClockReading { application, machine: if self.private { application } else { Timestamp::now() } }
    }

    /// Returns the reason why no event can be recorded now, if there is one. `days` looks up the operator's limit.
    pub(super) fn check<E>(
        &self,
        now: ClockReading,
        end: &LogEnd,
        days: impl FnOnce() -> Result<Option<i64>, E>,
    ) -> Result<Option<String>, E> {
        let ClockReading { application, machine } = now;
        if self.private {
            return Ok(None);
        }
        let last = match Timestamp::from_microsecond(end.recorded_at) {
            Ok(last) if end.head.position > 0 => last,
            Ok(_) => machine,
            Err(error) => return Ok(Some(format!("the time of its last event cannot be read ({error})"))),
        };
        self.skew.compare(application, now.time().max(last));
        let (ahead, since_last) = (application.duration_since(machine), now.time().duration_since(last));
        if ahead <= SignedDuration::from_mins(1) && since_last <= SignedDuration::from_hours(24) {
            return Ok(None);
        }
        let limit = SignedDuration::from_hours(24 * days()?.unwrap_or(clock::DAYS));
        let problem = match (ahead > limit, since_last > limit) {
            (true, _) => {
                format!("the clock of this program is at {application}, the clock of the machine at {machine}")
            }
            (_, true) => format!("the clock of the machine is at {machine}, the last event was recorded at {last}"),
            _ => return Ok(None),
        };
        Ok(Some(format!("{problem}: {}", clock::advice("meta"))))
    }
}

/// The last event of the log, including those that the running append has written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogEnd {
    pub(super) head: LogPosition,
    /// Microseconds since 1970.
    pub(super) recorded_at: i64,
}

impl LogEnd {
    /// Returns the time for the next event: the clock's, or the last event's if the clock is behind that.
    pub(super) fn time(&self, clock: Timestamp) -> i64 {
        let now = clock.as_microsecond();
        if self.head.position == 0 { now } else { now.max(self.recorded_at) }
    }

    /// Advances to the next event, recorded at `time`.
    pub(super) fn advance(&mut self, time: i64, clock: Timestamp) {
        self.head = LogPosition { position: self.head.position + 1, event_id: next_id(self.head.event_id, clock) };
        self.recorded_at = time;
    }
}
