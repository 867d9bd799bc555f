//! Slots: the events in the order in which they occurred, counted in slots of a minute, an hour, a day and 64 days (UTC).
//!
//! Events occur in any order, so there are no cumulative counts: an event adds to its slot of each width, for each of
//! its topics. The rows depend on the set of events alone, not on their order or on the batches.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use super::bytes::{Bytes, put};
use super::entry::{self, Entry};
use super::frequency_table;
use super::prefix_sums::WINDOWS;
use crate::projections::ProjectionError;
use crate::store::{Cell, Column, OnConflict, Row, Table, Transaction};

/// The widths of slots in microseconds. Each is a multiple of the one before.
pub(super) const WIDTHS: [i64; 4] = [60_000_000, 3_600_000_000, 86_400_000_000, 64 * 86_400_000_000];

/// All slots: in these events are counted.
pub(super) const ALL: RangeInclusive<usize> = 0..=3;

/// The slots in which actors and targets are counted: hours and days. Those of a wider slot would be rewritten with each
/// event.
pub(super) const OF_PARTICIPANTS: RangeInclusive<usize> = 1..=2;

/// One, as a decayed weight is stored. Weights are whole numbers, so that their sum does not depend on the order.
pub(super) const ONE: f64 = 4_294_967_296.0;

/// How many events are added up in memory before they are written.
const AT_ONCE: usize = 16_384;

/// The entries of all events in the order in which they occurred.
pub(super) const MOMENTS: Table = Table::new(
    "moments",
    &[Column::integer("at"), Column::integer("position"), Column::bytes("entry")],
    &["at", "position"],
);

/// The sums of each topic in each slot with an event, and how often each actor and target occurs in it.
pub(super) const SLOTS: Table = Table::new(
    "slots",
    &[
        Column::integer("topic"),
        Column::integer("level"),
        Column::integer("slot"),
        Column::bytes("sums"),
        Column::bytes("actors"),
        Column::bytes("targets"),
    ],
    &["topic", "level", "slot"],
);

/// The tables of this axis.
pub(super) const TABLES: [&Table; 2] = [&MOMENTS, &SLOTS];

/// The sums of a topic in a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlotSums {
    /// The number of events of each type, by the type's number.
    pub types: BTreeMap<u32, u64>,
    /// For each rolling window the sum over the events of e^(-(time until the slot's end) / window), times [`ONE`].
    pub decayed: [u64; 3],
}

/// A slot of one topic: the topic's number, the level and the number of the slot.
type Key = (u32, usize, i64);

/// A row of [`SLOTS`].
#[derive(Default)]
struct Slot {
    sums: SlotSums,
    actors: BTreeMap<u32, u64>,
    targets: BTreeMap<u32, u64>,
}

impl Slot {
    fn take_in(&mut self, level: usize, entry: &Entry, before_end: i64) {
        self.sums.take_in(entry.event_type, before_end);
        if OF_PARTICIPANTS.contains(&level) {
            *self.actors.entry(entry.actor).or_default() += 1;
            for target in &entry.targets {
                *self.targets.entry(*target).or_default() += 1;
            }
        }
    }

    /// Adds a stored row; `None` if it cannot be read.
    fn add(&mut self, row: &[Cell]) -> Option<()> {
        let [Cell::Bytes(sums), Cell::Bytes(actors), Cell::Bytes(targets)] = row else { return None };
        self.sums.add(&SlotSums::decode(sums)?);
        for (bytes, shares) in [(actors, &mut self.actors), (targets, &mut self.targets)] {
            frequency_table::decode(bytes, |who, often| *shares.entry(who).or_default() += often)?;
        }
        Some(())
    }

    fn row(self, key: &Key) -> Row {
        let shares = |shares| Cell::Bytes(frequency_table::encode(shares));
        let mut row = key_row(key);
        row.extend([Cell::Bytes(self.sums.encode()), shares(self.actors), shares(self.targets)]);
        row
    }
}

fn key_row((topic, level, slot): &Key) -> Row {
    vec![u64::from(*topic).into(), (*level as u64).into(), (*slot).into()]
}

impl SlotSums {
    fn take_in(&mut self, event_type: u32, before_end: i64) {
        *self.types.entry(event_type).or_default() += 1;
        for (sum, window) in self.decayed.iter_mut().zip(WINDOWS) {
            *sum = sum.saturating_add((weight(before_end, window) * ONE).round() as u64);
        }
    }

    fn add(&mut self, other: &Self) {
        for (event_type, count) in &other.types {
            *self.types.entry(*event_type).or_default() += count;
        }
        for (sum, more) in self.decayed.iter_mut().zip(other.decayed) {
            *sum = sum.saturating_add(more);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + 3 * self.types.len());
        self.decayed.iter().for_each(|sum| put(&mut bytes, *sum));
        let mut before = 0;
        for (event_type, count) in &self.types {
            put(&mut bytes, u64::from(event_type - before));
            put(&mut bytes, *count);
            before = *event_type;
        }
        bytes
    }

    /// Decodes sums; `None` if the bytes are malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let decayed = [bytes.number()?, bytes.number()?, bytes.number()?];
        let (mut types, mut before) = (BTreeMap::new(), 0_u32);
        while !bytes.is_empty() {
            before = before.checked_add(bytes.name()?)?;
            types.insert(before, bytes.number()?);
        }
        Some(Self { types, decayed })
    }
}

/// The weight of an event of this age.
pub(super) fn weight(age: i64, window: i64) -> f64 {
    (-(age.max(0) as f64) / window as f64).exp()
}

/// The end of a slot, exclusive.
pub(super) fn end(level: usize, slot: i64) -> i64 {
    slot.saturating_add(1).saturating_mul(WIDTHS[level])
}

/// A range of time as whole slots, as wide as possible, and the rest at its ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    pub edges: Vec<Range<i64>>,
    pub slots: Vec<(usize, Range<i64>)>,
}

impl Pieces {
    /// The pieces of a range, in slots of these levels.
    pub fn from_range(range: &Range<i64>, levels: RangeInclusive<usize>) -> Self {
        let mut pieces = Self::default();
        let width = WIDTHS[*levels.start()];
        let slots = ceil(range.start, width)..range.end.div_euclid(width);
        if slots.is_empty() {
            pieces.edges.extend((range.start < range.end).then(|| range.clone()));
            return pieces;
        }
        let ends = [range.start..slots.start * width, slots.end * width..range.end];
        pieces.edges.extend(ends.into_iter().filter(|end| !end.is_empty()));
        pieces.cut(*levels.start(), slots, *levels.end());
        pieces
    }

    fn cut(&mut self, level: usize, slots: Range<i64>, widest: usize) {
        let fan = WIDTHS.get(level + 1).map_or(1, |wider| wider / WIDTHS[level]);
        let above = ceil(slots.start, fan)..slots.end.div_euclid(fan);
        if level == widest || above.is_empty() {
            self.slots.push((level, slots));
            return;
        }
        let ends = [slots.start..above.start * fan, above.end * fan..slots.end];
        self.slots.extend(ends.into_iter().filter(|end| !end.is_empty()).map(|end| (level, end)));
        self.cut(level + 1, above, widest);
    }
}

fn ceil(number: i64, by: i64) -> i64 {
    number.div_euclid(by) + i64::from(number.rem_euclid(by) > 0)
}

/// Adds entries to the tables of this axis.
pub(super) async fn take_in(entries: &[Entry], transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
    for some in entries.chunks(AT_ONCE) {
        let moment = |entry: &Entry| -> Row {
            let own = Entry { at: entry.occurred, ..entry.clone() };
            let bytes = entry::encode(std::slice::from_ref(&own));
            vec![entry.occurred.into(), entry.position.into(), Cell::Bytes(bytes)]
        };
        transaction.insert_rows(&MOMENTS, some.iter().map(moment).collect(), OnConflict::Fail).await?;
        let mut slots: BTreeMap<Key, Slot> = BTreeMap::new();
        for entry in some {
            for (level, width) in WIDTHS.into_iter().enumerate() {
                let slot = entry.occurred.div_euclid(width);
                for topic in entry.counts_for() {
                    let slots = slots.entry((topic, level, slot)).or_default();
                    slots.take_in(level, entry, end(level, slot) - entry.occurred);
                }
            }
        }
        let keys = slots.keys().map(key_row).collect();
        let columns = ["sums", "actors", "targets"];
        let stored = transaction.select_by_keys(&SLOTS, SLOTS.key, &columns, keys).await?;
        for (slot, row) in slots.values_mut().zip(stored) {
            row.map_or(Some(()), |row| slot.add(&row)).ok_or_else(damaged)?;
        }
        let rows = slots.into_iter().map(|(key, slot)| slot.row(&key)).collect();
        transaction.insert_rows(&SLOTS, rows, OnConflict::Replace).await?;
    }
    Ok(())
}

fn damaged() -> ProjectionError {
    ProjectionError::Other("a slot of the metrics by occurrence cannot be read: rebuild them".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_range_once_and_few(
            start in -4_000_000_000_000_000_i64..4_000_000_000_000_000,
            length in prop_oneof![0..5_000_000_i64, 0..4_000_000_000_000_000_i64],
            participants: bool,
        ) {
            let levels = if participants { OF_PARTICIPANTS } else { ALL };
            let (narrowest, widest) = (*levels.start(), *levels.end());
            let pieces = Pieces::from_range(&(start..start + length), levels);
            let mut spans = pieces.edges.clone();
            for (level, slots) in &pieces.slots {
                prop_assert!((narrowest..=widest).contains(level) && !slots.is_empty());
                prop_assert!(*level == widest || slots.end - slots.start < 128);
                spans.push(slots.start * WIDTHS[*level]..end(*level, slots.end - 1));
            }
            spans.sort_by_key(|span| span.start);
            let mut at = start;
            for span in spans {
                prop_assert_eq!(span.start, at);
                at = span.end;
            }
            prop_assert_eq!(at, start + length);
            prop_assert!(pieces.edges.iter().all(|edge| edge.end - edge.start < 2 * WIDTHS[narrowest]));
        }

        #[test]
        fn sums_decode_to_what_was_encoded(
            types in prop::collection::btree_map(1..9_000_u32, 1..9_000_u64, 0..6),
            decayed in any::<[u64; 3]>(),
            cut in any::<usize>(),
        ) {
            let sums = SlotSums { types, decayed };
            let bytes = sums.encode();
            prop_assert_eq!(SlotSums::decode(&bytes), Some(sums));
            let _ = SlotSums::decode(&bytes[cut % bytes.len()..]);
        }
    }
}
