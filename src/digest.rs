//! SHA-256 over parts, and short hashes and numbers from digests.

use sha2::{Digest, Sha256};

/// SHA-256 over parts, each with its length before it (8 bytes, lowest first): `ab`, `c` and `a`, `bc` differ.
#[derive(Default)]
pub(crate) struct PartsDigest(Sha256);

impl PartsDigest {
    /// A digest that begins with these bytes, without their length.
    pub(crate) fn with_prefix(prefix: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(prefix))
    }

    pub(crate) fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The first 48 bits of a digest: exact in every database's integers, and in JSON for every reader.
pub(crate) fn first_48_bits(digest: &[u8; 32]) -> u64 {
    digest.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The first `N` bytes of a digest.
pub(crate) fn first_bytes<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|index| digest[index])
}

/// 16 hexadecimal digits of a text's digest: for names of tables and files that cannot hold the text.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn short_hash(text: &str) -> String {
    crate::text::hex(&Sha256::digest(text)[..8])
}
