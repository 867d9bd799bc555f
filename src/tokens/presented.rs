//! [`PresentedToken`]: a token together with the request that it came with.

use std::sync::Arc;

use jiff::Timestamp;

use super::{AccessToken, Request, TokenError};

/// A token together with the request that it came with. The context of the request's commands and reads has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PresentedToken {
    token: Arc<AccessToken>,
    method: String,
    path: String,
    observe: bool,
}

impl PresentedToken {
    /// Creates it for a request with this method and path, which is followed live or not.
    #[cfg(feature = "http")]
    pub(crate) fn new(token: Arc<AccessToken>, method: &str, path: &str, observe: bool) -> Self {
        Self { token, method: method.to_owned(), path: path.to_owned(), observe }
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

    /// Whether the token allows its request about these targets.
    ///
    /// # Errors
    /// When one of its blocks does not allow it.
    pub fn allows(&self, targets: &[&str], now: Timestamp) -> Result<(), TokenError> {
        self.token.allows(&self.request(targets, now))
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
