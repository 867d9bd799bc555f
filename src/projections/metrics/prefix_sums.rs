//! [`PrefixSums`]: the running numbers of a topic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::bytes::{Bytes, put};
use super::entry::Entry;

/// The windows of the rolling rates, in microseconds.
pub(super) const WINDOWS: [i64; 3] = [60_000_000, 3_600_000_000, 86_400_000_000];

/// All events of a topic up to some place, in numbers. What lies between two places is the difference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PrefixSums {
    /// The position of the first event.
    first: u64,
    /// When the last one was recorded, in microseconds.
    at: i64,
    /// For each window, the sum over the events of e to the power of minus (age at `at` / window).
    sums: [f64; 3],
    /// How many there are of each type, by its number.
    types: BTreeMap<u32, u64>,
}

impl PrefixSums {
    /// Takes in an event.
    pub fn take_in(&mut self, entry: &Entry) {
        if self.first == 0 {
            self.first = entry.position;
            self.at = entry.at;
        }
        // Most events of a batch are of one instant: nothing decays between them.
        if entry.at > self.at {
            for (sum, window) in self.sums.iter_mut().zip(WINDOWS) {
                *sum *= decayed(entry.at - self.at, window);
            }
            self.at = entry.at;
        }
        self.sums.iter_mut().for_each(|sum| *sum += 1.0);
        *self.types.entry(entry.event_type).or_default() += 1;
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40 + 4 * self.types.len());
        put(&mut bytes, self.first);
        put(&mut bytes, self.at.cast_unsigned());
        self.sums.iter().for_each(|sum| bytes.extend(sum.to_le_bytes()));
        let mut before = 0;
        for (event_type, count) in &self.types {
            put(&mut bytes, u64::from(event_type - before));
            put(&mut bytes, *count);
            before = *event_type;
        }
        bytes
    }

    /// What was encoded; `None` if it was not.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let (first, at) = (bytes.number()?, bytes.number()?.cast_signed());
        let sums = [bytes.real()?, bytes.real()?, bytes.real()?];
        let (mut types, mut before) = (Vec::new(), 0_u32);
        while !bytes.is_empty() {
            before = before.checked_add(bytes.name()?)?;
            types.push((before, bytes.number()?));
        }
        Some(Self { first, at, sums, types: types.into_iter().collect() })
    }

    /// The position of the first event, if there is any.
    pub fn first(&self) -> Option<u64> {
        (self.first > 0).then_some(self.first)
    }

    pub fn total(&self) -> u64 {
        self.types.values().sum()
    }

    /// How many there are of each type that are not in `earlier`; none of which there are none.
    pub fn since(&self, earlier: &Self) -> BTreeMap<u32, u64> {
        let since = |(event_type, count): (&u32, &u64)| {
            (*event_type, count.saturating_sub(earlier.types.get(event_type).copied().unwrap_or(0)))
        };
        self.types.iter().map(since).filter(|(_, count)| *count > 0).collect()
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
