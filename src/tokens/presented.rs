//! [`PresentedToken`]: a token together with the request that it came with.

use std::sync::Arc;

use jiff::Timestamp;

use super::{AccessToken, KeyInfo, Keys, Request, TokenError};

/// A token together with the request that it came with. The context of the request's commands and reads has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PresentedToken {
    token: Arc<AccessToken>,
    signed_by: SignedBy,
    method: String,
    path: String,
    observe: bool,
}

/// The key that a token is signed with, and the keys that are accepted now.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only requests present tokens"))]
struct SignedBy(KeyInfo, Keys);

impl PartialEq for SignedBy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl PresentedToken {
    /// A token that is signed with one of these keys, without a request.
    #[cfg(feature = "http")]
    pub(crate) fn new(token: Arc<AccessToken>, keys: &Keys, key: KeyInfo) -> Self {
        let signed_by = SignedBy(key, keys.clone());
        Self { token, signed_by, method: String::new(), path: String::new(), observe: false }
    }

    /// The same token with a request of this method and path, which is followed live or not.
    #[cfg(feature = "http")]
    pub(crate) fn with_request(&self, method: &str, path: &str, observe: bool) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), observe, ..self.clone() }
    }

    /// Waits until the key of the token is not accepted any more.
    pub(crate) async fn key_withdrawn(&self) {
        let SignedBy(key, keys) = &self.signed_by;
        keys.withdrawn(key).await;
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }

    /// Whether the request is followed live.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// Whether the token allows its request about these targets; `observes`: the answer is followed live, whatever the
    /// request says.
    ///
    /// # Errors
    /// When one of its blocks does not allow it.
    pub fn allows(&self, targets: &[&str], observes: bool, now: Timestamp) -> Result<(), TokenError> {
        let request = self.request(targets, now);
        self.token.allows(&Request { observe: request.observe || observes, ..request })
    }

    /// Whether the token allows its request about some target.
    ///
    /// # Errors
    /// When one of its blocks does not allow it, whatever it is about.
    pub fn allows_for_some_target(&self, now: Timestamp) -> Result<(), TokenError> {
        self.token.allows_for_some_target(&self.request(&[], now))
    }

    fn request<'a>(&'a self, targets: &'a [&'a str], now: Timestamp) -> Request<'a> {
        Request { method: &self.method, path: &self.path, targets, observe: self.observe, now }
    }
}
