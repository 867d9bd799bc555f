//! [`Envelope`]: what is stored of a sealed value.

use serde::{Deserialize, Serialize};

use crate::events::Ref;

/// A sealed value: `{"sealed": "1:user.registered:name:5f0c…:TW9…", "of": "user:7"}`.
///
/// `sealed` has the version of the form, the event type and the field for which the value was sealed, the id of the key, and the
/// nonce and ciphertext. All of them, and the subject, are authenticated: a changed envelope does not open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope {
    pub(crate) sealed: String,
    pub(crate) of: Ref,
}

/// The version of the form that is written.
const VERSION: &str = "1";

impl Envelope {
    /// Puts an envelope together. Neither event types nor fields nor key ids have a colon.
    pub(crate) fn new(of: Ref, event_type: &str, field: &str, key: &str, ciphertext: &str) -> Self {
        Self { sealed: format!("{VERSION}:{event_type}:{field}:{key}:{ciphertext}"), of }
    }

    /// Its parts; `None` if it has another form.
    pub(crate) fn parts(&self) -> Option<EnvelopeParts<'_>> {
        let mut parts = self.sealed.splitn(5, ':');
        let version = parts.next()?;
        let (event_type, field, key, ciphertext) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (version == VERSION).then_some(EnvelopeParts { event_type, field, key, ciphertext })
    }
}

/// The parts of an [`Envelope`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "personal"), allow(dead_code, reason = "only the key ring needs all of them"))]
pub(crate) struct EnvelopeParts<'a> {
    /// The event type as which the value was sealed.
    pub(crate) event_type: &'a str,
    /// The field of that event.
    pub(crate) field: &'a str,
    /// The id of the key.
    pub(crate) key: &'a str,
    /// The nonce and the ciphertext, in Base64.
    pub(crate) ciphertext: &'a str,
}
