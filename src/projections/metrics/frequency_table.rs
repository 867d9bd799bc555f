//! [`FrequencyTable`]: adds up how often actors or targets occur; [`Share`]s encoded as bytes, in the order of
//! their numbers.

use super::bytes::{Bytes, put};

/// The number of an actor or target, and how often it occurs.
pub(super) type Share = (u32, u64);

/// Encodes shares: the distance from the number before, and the count if it is more than one. Equal shares give
/// equal bytes.
pub(super) fn encode(shares: impl IntoIterator<Item = Share>) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0);
    for (who, often) in shares {
        put(&mut bytes, u64::from(who - before) << 1 | u64::from(often > 1));
        if often > 1 {
            put(&mut bytes, often);
        }
        before = who;
    }
    bytes
}

/// Passes each decoded share to `each`; `None` if the bytes are malformed.
pub(super) fn decode(bytes: &[u8], mut share: impl FnMut(u32, u64)) -> Option<()> {
    let (mut bytes, mut before) = (Bytes(bytes), 0_u32);
    while !bytes.is_empty() {
        let next = bytes.number()?;
        let often = if next & 1 == 1 { bytes.number()? } else { 1 };
        before = before.checked_add(u32::try_from(next >> 1).ok()?)?;
        share(before, often);
    }
    Some(())
}

/// Counts occurrences by number. Numbers are assigned consecutively, so an array indexed by them is short.
#[derive(Debug, Default)]
pub(super) struct FrequencyTable {
    often: Vec<u64>,
    /// The numbers that occur.
    there: Vec<u32>,
}

impl FrequencyTable {
    pub fn count(&mut self, who: u32, more: u64) {
        let place = who as usize;
        if place >= self.often.len() {
            self.often.resize((place + 1).max(2 * self.often.len()), 0);
        }
        if let Some(often) = self.often.get_mut(place) {
            if *often == 0 {
                self.there.push(who);
            }
            *often += more;
        }
    }

    /// Adds all encoded shares; `None` if the bytes are malformed.
    pub fn count_all(&mut self, bytes: &[u8]) -> Option<()> {
        decode(bytes, |who, often| self.count(who, often))
    }

    /// Returns the shares, unordered, and clears the table.
    pub fn take(&mut self) -> Vec<Share> {
        let mut often = |who: &u32| self.often.get_mut(*who as usize).map(std::mem::take);
        self.there.drain(..).filter_map(|who| Some((who, often(&who)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_read_as_they_were_written_and_add_up(
            some in prop::collection::vec(prop::collection::btree_map(1..5_000_u32, 1..300_u64, 0..40), 0..8),
        ) {
            let (mut frequencies, mut expected) = (FrequencyTable::default(), BTreeMap::new());
            for _ in 0..2 {
                for shares in &some {
                    let bytes = encode(shares.clone());
                    let mut read = Vec::new();
                    prop_assert!(decode(&bytes, |who, often| read.push((who, often))).is_some());
                    prop_assert_eq!(read, shares.clone().into_iter().collect::<Vec<_>>());
                    frequencies.count_all(&bytes);
                    shares.iter().for_each(|(who, often)| *expected.entry(*who).or_default() += often);
                }
                let mut taken = frequencies.take();
                taken.sort_unstable();
                prop_assert_eq!(taken, std::mem::take(&mut expected).into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_was_not_encoded_is_not_read() {
        for damaged in [&[0xFF_u8][..], &[3], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]] {
            assert!(decode(damaged, |_, _| {}).is_none(), "{damaged:?}");
        }
    }
}
