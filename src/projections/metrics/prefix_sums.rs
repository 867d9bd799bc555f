//! [`PrefixSums`]: cumulative counts of a topic.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::bytes::{Bytes, put};
use super::entry::Entry;

/// The windows of the rolling rates, in microseconds.
pub(super) const WINDOWS: [i64; 3] = [60_000_000, 3_600_000_000, 86_400_000_000];

/// Cumulative counts of a topic's events up to a position. The counts of a range are the difference of two.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PrefixSums {
    /// The position of the first event.
    first: u64,
    /// When the last event was recorded, in microseconds.
    at: i64,
    /// For each window, the sum over the events of e^(-(age at `at`) / window).
    sums: [f64; 3],
    /// The number of events of each type, by the type's number.
    types: BTreeMap<u32, u64>,
}

impl PrefixSums {
    /// Adds an event.
    pub fn take_in(&mut self, entry: &Entry) {
        if self.first == 0 {
            self.first = entry.position;
            self.at = entry.at;
        }
        // Most events of a batch have the same time: nothing decays between them.
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

    /// Decodes prefix sums; `None` if the bytes are malformed.
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

    /// The number of events of each type that are not in `earlier`, without types of no such event.
    pub fn since(&self, earlier: &Self) -> BTreeMap<u32, u64> {
        let since = |(event_type, count): (&u32, &u64)| {
            (*event_type, count.saturating_sub(earlier.types.get(event_type).copied().unwrap_or(0)))
        };
        self.types.iter().map(since).filter(|(_, count)| *count > 0).collect()
    }

    /// The decayed sums at `time` over the events that are not in `earlier`.
    pub fn rolling(&self, earlier: &Self, time: Timestamp) -> [f64; 3] {
        let time = time.as_microsecond();
        std::array::from_fn(|n| {
            let sum = |running: &Self| running.sums[n] * decayed(time - running.at, WINDOWS[n]);
            // Without an event between the two, a rounding error must not show.
            if self.total() == earlier.total() { 0.0 } else { (sum(self) - sum(earlier)).max(0.0) }
        })
    }
}

/// The decay over so many microseconds; 1 if the clock went back.
fn decayed(age: i64, window: i64) -> f64 {
    (-(age.max(0) as f64) / window as f64).exp()
}

/// The windows as durations.
pub(super) fn lengths() -> [SignedDuration; 3] {
    WINDOWS.map(SignedDuration::from_micros)
}
