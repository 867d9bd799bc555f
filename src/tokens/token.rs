//! [`AccessToken`]: what a verified token says and allows.

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::TokenError;
use super::restriction::{Restriction, Subject};
use crate::events::Ref;

/// The characters of references that stay as they are: the unreserved ones of RFC 3986. Python's `quote(text, safe='')` and
/// JavaScript's `encodeURIComponent` write the same for references without `!*'()`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A verified token: its actor, its grant, and what its blocks allow.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessToken {
    pub(super) actor: Ref,
    pub(super) grant: Uuid,
    pub(super) key: u32,
    pub(super) expires: Option<Timestamp>,
    pub(super) revocation_ids: Vec<String>,
    pub(super) restrictions: Vec<Restriction>,
}

/// A request that a token may allow.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The HTTP method, in upper case.
    pub method: &'a str,
    /// The path as in the request, percent-encoded, without the query.
    pub path: &'a str,
    /// The references of the things that it is about, and other names: `project:7`. A token that is narrowed to targets must
    /// allow each of them, and allows nothing that is about no particular one.
    pub targets: &'a [&'a str],
    /// Whether it is followed live.
    pub observe: bool,
    /// The present time.
    pub now: Timestamp,
}

impl Request<'_> {
    /// The time in seconds since 1970, rounded down.
    pub(super) fn second(&self) -> u64 {
        u64::try_from(self.now.as_second()).unwrap_or(0)
    }
}

impl AccessToken {
    /// The actor.
    #[must_use]
    pub fn actor(&self) -> &Ref {
        &self.actor
    }

    /// The id of the grant that it was minted for: the only one that it can use.
    #[must_use]
    pub fn grant(&self) -> Uuid {
        self.grant
    }

    /// The id of the key that it is signed with.
    #[must_use]
    pub fn key(&self) -> u32 {
        self.key
    }

    /// The time from which on it allows nothing; `None` if it has no expiry of its own.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The revocation id of each block in hexadecimal, that of the issuer first. A token is withdrawn with all tokens that were
    /// narrowed from it by the id of its last block.
    #[must_use]
    pub fn revocation_ids(&self) -> &[String] {
        &self.revocation_ids
    }

    /// Whether it allows a request.
    ///
    /// # Errors
    /// When one of its blocks does not allow it.
    pub fn allows(&self, request: &Request<'_>) -> Result<(), TokenError> {
        let targets: Vec<String> = match self.has_targets() {
            true => request.targets.iter().map(|target| encoded(target)).collect(),
            false => Vec::new(),
        };
        self.restrictions.iter().try_for_each(|restriction| restriction.check(request, &targets))
    }

    /// Whether it allows a request about some target: as long as it is not yet known what the request is about.
    ///
    /// # Errors
    /// When one of its blocks does not allow the method, the path, the time, or following live.
    pub fn allows_for_some_target(&self, request: &Request<'_>) -> Result<(), TokenError> {
        let others = self.restrictions.iter().filter(|restriction| restriction.subject != Subject::Target);
        others.into_iter().try_for_each(|restriction| restriction.check(request, &[]))
    }

    /// Whether it is narrowed to targets.
    fn has_targets(&self) -> bool {
        self.restrictions.iter().any(|restriction| restriction.subject == Subject::Target)
    }
}

/// A name as tokens have it: percent-encoded, so that it has no character with a meaning in Datalog.
pub(super) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}
