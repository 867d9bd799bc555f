//! [`Entry`]: what the metrics keep of one event, in numbers.

use super::bytes::{Bytes, put};

/// The topic that all events are of: it has no name of its own.
pub(super) const ROOT: u32 = 0;

/// One event, as far as it is counted. Names are their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub position: u64,
    /// When it was recorded, in microseconds.
    pub at: i64,
    pub event_type: u32,
    pub actor: u32,
    pub targets: Vec<u32>,
    /// Its topics and all that lie above them, without the root.
    pub topics: Vec<u32>,
}

impl Entry {
    /// Whether it counts for this topic.
    pub fn is_of(&self, topic: u32) -> bool {
        topic == ROOT || self.topics.contains(&topic)
    }

    /// The topics that it counts for, the root among them.
    pub fn counts_for(&self) -> impl Iterator<Item = u32> {
        std::iter::once(ROOT).chain(self.topics.iter().copied())
    }

    /// Writes it behind the entry of `before`, of which place and time are known to who reads it.
    pub fn put(&self, before: (u64, i64), bytes: &mut Vec<u8>) {
        put(bytes, self.position.wrapping_sub(before.0));
        put(bytes, self.at.wrapping_sub(before.1).cast_unsigned());
        put(bytes, u64::from(self.event_type));
        put(bytes, u64::from(self.actor));
        for names in [&self.targets, &self.topics] {
            put(bytes, names.len() as u64);
            names.iter().for_each(|name| put(bytes, u64::from(*name)));
        }
    }

    /// Makes of the entry before this one the next; `None` if the bytes are not of one.
    pub fn next(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        self.position = self.position.wrapping_add(bytes.number()?);
        self.at = self.at.wrapping_add(bytes.number()?.cast_signed());
        self.event_type = bytes.name()?;
        self.actor = bytes.name()?;
        for names in [&mut self.targets, &mut self.topics] {
            names.clear();
            for _ in 0..bytes.number()? {
                names.push(bytes.name()?);
            }
        }
        Some(())
    }
}

/// Entries as bytes, one after the other.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), (0, 0));
    for entry in entries {
        entry.put(before, &mut bytes);
        before = (entry.position, entry.at);
    }
    bytes
}

/// Hands on what was encoded, as long as `each` goes on; `None` if it was not.
pub(super) fn decode(bytes: &[u8], mut each: impl FnMut(&Entry) -> bool) -> Option<()> {
    let (mut bytes, mut entry) = (Bytes(bytes), Entry::default());
    while !bytes.is_empty() {
        entry.next(&mut bytes)?;
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
            event_type,
            actor,
            targets,
            topics,
        });
        vec(entry, 0..20)
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written(entries in entries(), cut in any::<usize>()) {
            let bytes = encode(&entries);
            let mut read = Vec::new();
            let each = |entry: &Entry| {
                read.push(entry.clone());
                true
            };
            prop_assert_eq!(decode(&bytes, each), Some(()));
            prop_assert_eq!(read, entries);
            // What is damaged is read without a panic.
            let _ = decode(&bytes[cut % (bytes.len() + 1)..], |_| true);
        }
    }
}
