//! [`Entry`]: the numbers that the metrics keep of one event.

use super::bytes::{Bytes, put};

/// The number of the root topic, which contains all events. It has no name.
pub(super) const ROOT: u32 = 0;

/// The counted properties of one event, with names as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub position: u64,
    /// When it was recorded, in microseconds.
    pub at: i64,
    /// When it occurred, in microseconds. It is not encoded.
    pub occurred: i64,
    pub event_type: u32,
    pub actor: u32,
    pub targets: Vec<u32>,
    /// Its topics and all topics above them, without the root.
    pub topics: Vec<u32>,
}

impl Entry {
    /// Whether it counts for this topic.
    pub fn is_of(&self, topic: u32) -> bool {
        topic == ROOT || self.topics.contains(&topic)
    }

    /// The topics for which it counts, including the root.
    pub fn counts_for(&self) -> impl Iterator<Item = u32> {
        std::iter::once(ROOT).chain(self.topics.iter().copied())
    }
}

/// The columns of entries to decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub types: bool,
    pub actors: bool,
    pub targets: bool,
    pub topics: bool,
}

impl Columns {
    pub const ALL: Self = Self { types: true, actors: true, targets: true, topics: true };
}

/// Encodes entries: their number, the lengths of four columns, and five columns (positions and times, types,
/// actors, targets, topics), so that a reader of few columns decodes only those.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let [mut times, mut types, mut actors, mut targets, mut topics]: [Vec<u8>; 5] = Default::default();
    let mut before = (0_u64, 0_i64);
    for entry in entries {
        put(&mut times, entry.position.wrapping_sub(before.0));
        put(&mut times, entry.at.wrapping_sub(before.1).cast_unsigned());
        put(&mut types, u64::from(entry.event_type));
        put(&mut actors, u64::from(entry.actor));
        for (names, column) in [(&entry.targets, &mut targets), (&entry.topics, &mut topics)] {
            put(column, names.len() as u64);
            names.iter().for_each(|name| put(column, u64::from(*name)));
        }
        before = (entry.position, entry.at);
    }
    let mut bytes = Vec::new();
    put(&mut bytes, entries.len() as u64);
    [&times, &types, &actors, &targets].iter().for_each(|column| put(&mut bytes, column.len() as u64));
    [times, types, actors, targets, topics].iter().for_each(|column| bytes.extend(column));
    bytes
}

/// Passes each decoded entry, with the wanted columns, to `each` until it returns false; `None` if the bytes are
/// malformed.
pub(super) fn decode(bytes: &[u8], wanted: Columns, mut each: impl FnMut(&Entry) -> bool) -> Option<()> {
    let mut rest = Bytes(bytes);
    let entries = rest.number()?;
    let lengths = [rest.number()?, rest.number()?, rest.number()?, rest.number()?];
    let [mut times, mut types, mut actors, mut targets] = lengths.map(|length| rest.column(length));
    let mut entry = Entry::default();
    for _ in 0..entries {
        let times = times.as_mut()?;
        entry.position = entry.position.wrapping_add(times.number()?);
        entry.at = entry.at.wrapping_add(times.number()?.cast_signed());
        if wanted.types {
            entry.event_type = types.as_mut()?.name()?;
        }
        if wanted.actors {
            entry.actor = actors.as_mut()?.name()?;
        }
        if wanted.targets {
            targets.as_mut()?.names(&mut entry.targets)?;
        }
        if wanted.topics {
            rest.names(&mut entry.topics)?;
        }
        if !each(&entry) {
            break;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let names = || vec(1..100_000_u32, 0..4);
        let entry = (any::<(u64, i64, u32, u32)>(), names(), names());
        let entry = entry.prop_map(|((position, at, event_type, actor), targets, topics)| Entry {
            position,
            at,
            occurred: 0,
            event_type,
            actor,
            targets,
            topics,
        });
        vec(entry, 0..20)
    }

    proptest! {
        #[test]
        fn entries_decode_to_what_was_encoded(entries in entries(), cut in any::<usize>()) {
            let bytes = encode(&entries);
            let mut read = Vec::new();
            let each = |entry: &Entry| {
                read.push(entry.clone());
                true
            };
            prop_assert_eq!(decode(&bytes, Columns::ALL, each), Some(()));
            prop_assert_eq!(&read, &entries);
            let mut expected = entries.iter();
            let few = |entry: &Entry| {
                let expected = expected.next().unwrap();
                assert_eq!((entry.at, entry.actor, &entry.topics), (expected.at, expected.actor, &expected.topics));
                assert_eq!((entry.event_type, entry.targets.len()), (0, 0));
                true
            };
            let wanted = Columns { actors: true, topics: true, ..Columns::default() };
            prop_assert_eq!(decode(&bytes, wanted, few), Some(()));
            prop_assert!(expected.next().is_none());
            // Malformed bytes cause no panic.
            let _ = decode(&bytes[cut % bytes.len()..], Columns::ALL, |_| true);
        }
    }
}
