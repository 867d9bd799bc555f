//! [`TokenError`]: why a token is not accepted, or does not allow a request.

use super::{MAX_BLOCKS, MAX_BYTES};
use crate::events::Ref;

/// Why a token is not accepted, or does not allow a request.
///
/// The messages have no quotes and no backslash, so that they can be part of a challenge (RFC 6750, 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its text is too long.
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// It is no token, or not all of one.
    #[error("the token is malformed")]
    Malformed,
    /// It has a form that this program does not accept, such as another kind of signature.
    #[error("the token {0}")]
    Unsupported(&'static str),
    /// It has too many blocks.
    #[error("the token has more than {MAX_BLOCKS} blocks")]
    TooManyBlocks,
    /// It names no key, or one that is not accepted.
    #[error("the token is signed with a key that is not accepted{}", .0.map(|id| format!(" (key {id})")).unwrap_or_default())]
    UnknownKey(Option<u32>),
    /// A signature is wrong.
    #[error("the signature of the token is invalid")]
    Signature,
    /// It is correctly signed, but a holder appended a block that is not accepted.
    #[error("block {block} of the token is not accepted: {reason}")]
    Block {
        /// The number of the block; the first that a holder appended is 1.
        block: usize,
        /// What is wrong with it.
        reason: &'static str,
        /// The actor that the token names.
        actor: Box<Ref>,
    },
    /// It has expired, or a holder narrowed it to an earlier time.
    #[error("the token has expired")]
    Expired,
    /// It does not allow the method of the request.
    #[error("the token does not allow this method")]
    Method,
    /// It does not allow the path of the request.
    #[error("the token does not allow this path")]
    Path,
    /// It does not allow one of the things that the request is about, or the request is not about particular things.
    #[error("the token does not allow this target")]
    Target,
    /// It does not allow following live, or only that.
    #[error("the token does not allow {}", if *.0 { "following live" } else { "anything but following live" })]
    Observe(bool),
}

impl TokenError {
    /// Whether the token itself is not accepted (status 401), and not only this use of it (status 403).
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        !matches!(self, Self::Method | Self::Path | Self::Target | Self::Observe(_))
    }
}
