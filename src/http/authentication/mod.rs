//! [`Authentication`]: how the actor of a request is established.
//!
//! ## Layout
//! - `keys`: [`Keys`], the keys that verify tokens
//! - `key_file`: keys that follow a file
//! - `bearer`: [`Bearer`], verification of JSON Web Tokens
//! - `access_tokens`: access tokens beside them (feature `access`)
//! - `identify`: [`Identity`], the actor of a request
//! - `origin`: same-origin and loopback checks, against requests that a browser makes for another site's page

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

#[cfg(feature = "access")]
mod access_tokens;
mod bearer;
mod identify;
mod key_file;
mod keys;
mod origin;

#[cfg(feature = "access")]
pub(super) use self::access_tokens::rejection;
use self::bearer::Bearer;
pub(super) use self::bearer::{TokenEnd, TokenValidity};
pub(super) use self::identify::{Identity, Rejection, TOKEN_COOKIE};
pub use self::keys::{KeyError, Keys};
pub(super) use self::origin::{check_same_origin, host, is_loopback};

use crate::commands::Context;
use crate::events::Ref;

/// A token that [`Authentication::verify`] accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedToken {
    /// The actor that it names.
    pub actor: Ref,
    /// How long it is still valid.
    pub valid_for: Duration,
    /// All its claims. An access token has none.
    pub claims: Map<String, Value>,
    #[cfg(feature = "access")]
    presented: Option<crate::tokens::PresentedToken>,
}

impl VerifiedToken {
    /// Returns a context of the token's actor, with its claims for the authoriser.
    #[must_use]
    pub fn context(&self) -> Context {
        let context = Context::by(self.actor.clone());
        #[cfg(feature = "access")]
        if let Some(presented) = &self.presented {
            return context.access_token(presented.clone());
        }
        context.token_claims(self.claims.clone())
    }
}

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidToken(Cow<'static, str>);

/// How the actor of a request is established: by a token, or by a header that is trusted.
///
/// The default answers every request with 401: an application that mounts the router chooses one of the two.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    mode: Mode,
    /// The keys of access tokens.
    #[cfg(feature = "access")]
    access: Option<crate::tokens::Keys>,
}

#[derive(Clone, Debug, Default)]
enum Mode {
    /// Every request is answered with 401.
    #[default]
    Unconfigured,
    /// Every caller that reaches the address is trusted. The actor is the default for requests without `Annals-Actor`.
    Trusting(Option<Ref>),
    /// Every request needs a token.
    Bearer(Box<Bearer>),
}

impl Authentication {
    fn of_mode(mode: Mode) -> Self {
        Self {
            mode,
            #[cfg(feature = "access")]
            access: None,
        }
    }

    /// Requires a JSON Web Token in `Authorization: Bearer`, signed with one of the keys, for this audience, with `exp` and
    /// `sub`. The actor is `user:<sub>`, whatever a request body contains.
    #[must_use]
    pub fn bearer(keys: Keys, audience: &str) -> Self {
        Self::of_mode(Mode::Bearer(Box::new(Bearer::new(keys, audience))))
    }

    /// Requires this issuer (`iss`).
    #[must_use]
    pub fn issuer(mut self, issuer: &str) -> Self {
        if let Mode::Bearer(bearer) = &mut self.mode {
            bearer.issuer(issuer);
        }
        self
    }

    /// Sets the kind of the actors: `sub` becomes `<kind>:<sub>`. Default: `user`. A subject is never read as a whole
    /// reference, so that no user becomes a `service:…` by choosing that name.
    ///
    /// # Panics
    /// If it is not a kind, or is reserved for this crate (`annals`, `annals_…`).
    #[must_use]
    pub fn subjects_are(mut self, kind: &str) -> Self {
        let subject = Ref::new(kind, "x").and_then(|subject| subject.check_caller());
        assert!(subject.is_ok(), "`{kind}` is not a kind for subjects: use lower-case letters, like `user`");
        if let Mode::Bearer(bearer) = &mut self.mode {
            bearer.kind = kind.to_owned();
        }
        self
    }

    /// Trusts every caller that reaches the address: for an address that only this machine reaches. Only requests to a
    /// loopback name (`localhost`, `127.0.0.1`) are accepted, so that no web page can make a browser send one.
    ///
    /// The actor is taken from the header `Annals-Actor: user:alice`, or is the default `actor`. Without both, commands are
    /// refused, and so are reads if the application authorises or records them.
    #[must_use]
    pub fn trusting(actor: Option<Ref>) -> Self {
        Self::of_mode(Mode::Trusting(actor))
    }

    /// Verifies a token as for a request: for a protocol of the application's own, such as gRPC or a message queue.
    ///
    /// ```no_run
    /// # use annals::http::{Authentication, Keys};
    /// # fn example(jwks: &str, token: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let authentication = Authentication::bearer(Keys::from_jwks(jwks)?, "annals");
    /// let context = authentication.verify(token)?.context();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the token is not valid now, or these are no keys: see [`Authentication::bearer`].
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, InvalidToken> {
        let invalid = |reason: &'static str| InvalidToken(reason.into());
        #[cfg(feature = "access")]
        if let Some(verified) = self.verify_access_token(token) {
            return verified;
        }
        let Mode::Bearer(bearer) = &self.mode else {
            return Err(invalid("no keys are configured: create it by `Authentication::bearer`"));
        };
        let Identity { actor, token, claims, .. } = bearer.verify(token, true).map_err(invalid)?;
        let actor = actor.ok_or(invalid("the token names no subject"))?;
        let valid_for = token.map(|token| token.remaining()).unwrap_or_default();
        Ok(VerifiedToken {
            actor,
            valid_for,
            claims: claims.unwrap_or_default(),
            #[cfg(feature = "access")]
            presented: None,
        })
    }

    /// How long the key files have been unreadable or unusable, the longer time of two; `None` if there are no keys.
    pub(super) fn stale_for(&self) -> Option<Duration> {
        let keys = match &self.mode {
            Mode::Bearer(bearer) => Some(bearer.keys().stale_for()),
            _ => None,
        };
        #[cfg(feature = "access")]
        let keys = keys.max(self.access.as_ref().map(crate::tokens::Keys::stale_for));
        keys
    }

    /// Whether requests need a token.
    #[must_use]
    pub fn is_required(&self) -> bool {
        match self.mode {
            Mode::Bearer(_) => true,
            Mode::Trusting(_) => false,
            #[cfg(feature = "access")]
            Mode::Unconfigured => self.access.is_some(),
            #[cfg(not(feature = "access"))]
            Mode::Unconfigured => false,
        }
    }
}
