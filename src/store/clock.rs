//! Clocks that are wrong: how far ahead one may be, and a warning for the operator.
//!
//! `recorded_at` never decreases, so one process whose clock is ahead would hold the time of all later events. A store
//! therefore has a clock of its own (the server's on PostgreSQL, the machine's on SQLite): the application's clock counts
//! only while it is behind that. Where it is more than [`DAYS`] ahead, or the store's own clock is that far ahead of the
//! last event, nothing is appended.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// How far ahead a clock may be, in days, unless `meta` says otherwise under [`KEY`]. `append.sql` has the same number.
#[cfg(feature = "sqlite")]
pub(super) const DAYS: i64 = 1_830;

/// The key in `meta` under which an operator sets another limit.
pub(super) const KEY: &str = "clock_ahead_days";

/// Two clocks of one system may be this far apart without a warning: also as long as an append waits for its turn.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// The pause between two warnings.
const QUIET: Duration = Duration::from_secs(600);

/// What an operator does about a clock that is too far ahead. `meta` is the table, as SQL names it.
pub(super) fn advice(meta: &str) -> String {
    format!(
        "nothing was written. Set the clock right. If it is right, allow more days (here 4000) with: \
         INSERT INTO {meta} (key, value) VALUES ('{KEY}', '4000') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
}

/// Compares the application's clock with what is recorded, and warns now and then.
#[derive(Debug, Default)]
pub(super) struct Skew(Mutex<Option<Instant>>);

impl Skew {
    /// `clock` is what the application's clock said, `recorded` what the store recorded in its place.
    pub(super) fn look(&self, clock: Timestamp, recorded: Timestamp) {
        let ahead = clock.duration_since(recorded);
        if ahead.abs() <= APART || !self.due() {
            return;
        }
        if ahead.is_positive() {
            tracing::warn!(
                %clock, %recorded,
                "this program's clock is ahead of the store's own clock by {ahead:#}: events get the store's time"
            );
        } else {
            tracing::warn!(
                %clock, %recorded,
                "this program's clock is behind the last event by {:#}: events get that event's time until then",
                -ahead
            );
        }
    }

    /// Whether the last warning is long ago.
    fn due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= QUIET);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
