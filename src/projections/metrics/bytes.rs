//! Variable-length encoding of whole numbers, seven bits in each byte.

/// Appends a number.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The bytes left to decode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next number; `None` if the bytes are malformed.
    pub fn number(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        let mut number = u64::from(first & 0x7F);
        let (mut byte, mut shift) = (first, 7);
        while byte >= 0x80 {
            let (&next, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(next & 0x7F).checked_shl(shift)?;
            (byte, shift) = (next, shift + 7);
        }
        Some(number)
    }

    /// The next number, if it fits the number of a name.
    pub fn name(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// Decodes a list of names into `names`: its length, then each name.
    pub fn names(&mut self, names: &mut Vec<u32>) -> Option<()> {
        names.clear();
        for _ in 0..self.number()? {
            names.push(self.name()?);
        }
        Some(())
    }

    /// The next `length` bytes.
    pub fn column(&mut self, length: u64) -> Option<Self> {
        let (column, rest): (&'a [u8], _) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Self(column))
    }

    pub fn real(&mut self) -> Option<f64> {
        let (real, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*real))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_decode_to_what_was_encoded(
            numbers in proptest::collection::vec((any::<u64>(), 0..64_u32).prop_map(|(n, s)| n >> s), 0..20),
            cut in any::<usize>(),
        ) {
            let mut written = Vec::new();
            numbers.iter().for_each(|number| put(&mut written, *number));
            let mut bytes = Bytes(&written);
            for number in &numbers {
                prop_assert_eq!(bytes.number(), Some(*number));
            }
            prop_assert!(bytes.is_empty() && bytes.number().is_none());
            // Malformed bytes cause no panic.
            let mut cut = Bytes(&written[..cut % (written.len() + 1)]);
            while cut.number().is_some() {}
        }
    }

    #[test]
    fn malformed_bytes_are_none() {
        assert_eq!(Bytes(&[0xFF; 12]).number(), None);
        assert_eq!(Bytes(&[0x80]).number(), None);
        assert_eq!(Bytes(&[1, 2, 3]).real(), None);
    }
}
