//! [`Running`]: the running numbers of a topic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The windows of the rolling rates, in microseconds.
pub(super) const WINDOWS: [i64; 3] = [60_000_000, 3_600_000_000, 86_400_000_000];

/// All events of a topic up to some place, in numbers. What lies between two places is the difference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Running {
    /// The position of the first event.
    first: u64,
    /// When the last one was recorded, in microseconds.
    at: i64,
    /// For each window, the sum over the events of e to the power of minus (age at `at` / window).
    sums: [f64; 3],
    /// How many there are of each type.
    types: BTreeMap<String, u64>,
}

impl Running {
    /// Takes in an event of this type, recorded at this time in microseconds.
    pub fn take_in(&mut self, position: u64, at: i64, event_type: &str) {
        if self.first == 0 {
            self.first = position;
            self.at = at;
        }
        // Most events of a batch are of one instant: nothing decays between them.
        if at > self.at {
            for (sum, window) in self.sums.iter_mut().zip(WINDOWS) {
                *sum *= decayed(at - self.at, window);
            }
            self.at = at;
        }
        self.sums.iter_mut().for_each(|sum| *sum += 1.0);
        match self.types.get_mut(event_type) {
            Some(count) => *count += 1,
            None => drop(self.types.insert(event_type.to_owned(), 1)),
        }
    }

    /// The position of the first event, if there is any.
    pub fn first(&self) -> Option<u64> {
        (self.first > 0).then_some(self.first)
    }

    pub fn total(&self) -> u64 {
        self.types.values().sum()
    }

    /// How many there are of each type that are not in `earlier`; none of which there are none.
    pub fn since(&self, earlier: &Self) -> BTreeMap<&str, u64> {
        let since = |(event_type, count): (&String, &u64)| {
            count.saturating_sub(earlier.types.get(event_type).copied().unwrap_or(0))
        };
        let counts = self.types.iter().map(|(event_type, count)| (event_type.as_str(), since((event_type, count))));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The sums at `time` over the events that are not in `earlier`.
    pub fn rolling(&self, earlier: &Self, time: Timestamp) -> [f64; 3] {
        let time = time.as_microsecond();
        std::array::from_fn(|n| {
            let sum = |running: &Self| running.sums[n] * decayed(time - running.at, WINDOWS[n]);
            // Where no event is between the two, rounding alone must not show.
            if self.total() == earlier.total() { 0.0 } else { (sum(self) - sum(earlier)).max(0.0) }
        })
    }
}

/// What is left of an event after so many microseconds; a clock that went back has no say.
fn decayed(age: i64, window: i64) -> f64 {
    (-(age.max(0) as f64) / window as f64).exp()
}

/// The windows as durations.
pub(super) fn lengths() -> [SignedDuration; 3] {
    WINDOWS.map(SignedDuration::from_micros)
}
