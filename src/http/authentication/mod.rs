//! [`Authentication`]: who may be believed to be whom.
//!
//! ## Layout
//! - `keys`: [`Keys`], what tokens are verified with
//! - `bearer`: a token, verified
//! - `admit`: finds out who asks
//! - `site`: which pages of a browser may ask at all

mod admit;
mod bearer;
mod keys;
mod site;

use self::bearer::{Bearer, Verified};
pub use self::keys::{KeyError, Keys};
pub(super) use admit::{COOKIE, admitted};
pub(super) use site::{host, is_loopback, same_site};

use crate::events::Ref;

/// Who may be believed to be whom.
///
/// Where nothing is said, nobody is let in: an application that mounts the router says one of the two.
#[derive(Clone, Debug, Default)]
pub struct Authentication(pub(super) How);

#[derive(Clone, Debug, Default)]
pub(super) enum How {
    /// Nobody is let in.
    #[default]
    Nobody,
    /// Whoever can reach the address is let in, and believed.
    Trusting(Option<Ref>),
    /// Who has a token.
    Bearer(Box<Bearer>),
}

impl Authentication {
    /// Tokens: JSON Web Tokens in `Authorization: Bearer`, signed with one of the keys, for this audience, with an
    /// expiry and a subject. The subject is the actor, `user:<subject>`, whatever a body says.
    #[must_use]
    pub fn bearer(keys: Keys, audience: &str) -> Self {
        Self(How::Bearer(Box::new(Bearer::new(keys, audience))))
    }

    /// Only tokens of this issuer.
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        if let How::Bearer(bearer) = &mut self.0 {
            bearer.issuer(issuer);
        }
        self
    }

    /// What kind of thing the subjects are: `user`, unless it is said. A subject is never taken for a whole reference, so
    /// that nobody becomes a `service:…` by calling himself one.
    ///
    /// # Panics
    /// When it is no kind, or one of the crate's own (`annals`, `annals_…`).
    #[must_use]
    pub fn subjects_are(mut self, kind: &str) -> Self {
        let subject = Ref::new(kind, "x").and_then(|subject| subject.check_caller());
        assert!(subject.is_ok(), "subjects cannot be of the kind `{kind}`: write lower-case letters, like `user`");
        if let How::Bearer(bearer) = &mut self.0 {
            bearer.kind = kind.to_owned();
        }
        self
    }

    /// No authentication: whoever can reach the address is believed. It is for an address that only this machine reaches;
    /// only requests to a name of this machine itself are let in, so that no web page can have a browser ask.
    ///
    /// Who it is says the header `Annals-Actor: user:alice`, or else `actor`. With neither, commands are refused, and so
    /// are reads where it matters who reads.
    #[must_use]
    pub fn trusting(actor: Option<Ref>) -> Self {
        Self(How::Trusting(actor))
    }

    /// Whether it takes a token to be let in.
    #[must_use]
    pub fn is_required(&self) -> bool {
        matches!(self.0, How::Bearer(_))
    }
}
