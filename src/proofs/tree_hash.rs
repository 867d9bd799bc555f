//! [`TreeHash`]: a hash in a Merkle tree of RFC 6962.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

/// A SHA-256 hash in a Merkle tree of RFC 6962. As text: standard base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The number of its bytes.
    pub const BYTES: usize = 32;

    /// Returns the root hash of the empty tree.
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Returns the hash of a leaf with this record.
    #[must_use]
    pub fn of_leaf(record: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([0]).chain_update(record).finalize().into())
    }

    /// Returns the hash of the node above two others.
    #[must_use]
    pub fn of_children(left: Self, right: Self) -> Self {
        Self(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// Returns the hash with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

/// A text is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a hash: expected 32 bytes in standard base64", .0.escape_debug())]
pub struct InvalidTreeHash(String);

impl FromStr for TreeHash {
    type Err = InvalidTreeHash;

    fn from_str(text: &str) -> Result<Self, InvalidTreeHash> {
        let bytes = BASE64_STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| InvalidTreeHash(text.chars().take(100).collect()))
    }
}

impl serde::Serialize for TreeHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
