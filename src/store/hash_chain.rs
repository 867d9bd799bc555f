//! [`HashChain`]: a running SHA-256 over events in order.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::events::Stored;
use crate::text::{from_hex, hex};

/// A running SHA-256: each link is the digest of the previous link and the next event. Before the first event it is 32
/// zero bytes. Equal chains cover the same events in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HashChain([u8; 32]);

impl HashChain {
    /// Returns the chain with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Adds the next event of an aggregate: its `digest` column, which covers the writer's columns.
    pub(crate) fn add_content(&mut self, stored: &Stored) {
        self.link(&[&stored.digest]);
    }

    /// Adds the next event of the log: position (8 bytes), event id (16 bytes), `recorded_at` (microseconds since 1970,
    /// 8 bytes) and its `digest` column (32 bytes); numbers with the lowest byte first.
    pub(crate) fn add_row(&mut self, stored: &Stored) {
        self.link(&[
            &stored.position.to_le_bytes(),
            stored.event_id.as_bytes(),
            &stored.recorded_at.as_microsecond().to_le_bytes(),
            &stored.digest,
        ]);
    }

    fn link(&mut self, parts: &[&[u8]]) {
        let mut hash = Sha256::new();
        hash.update(self.0);
        parts.iter().for_each(|part| hash.update(part));
        self.0 = hash.finalize().into();
    }
}

impl fmt::Display for HashChain {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for HashChain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a SHA-256 digest: write 64 hexadecimal digits");
        let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(wrong)
    }
}

impl serde::Serialize for HashChain {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
