//! Access tokens beside JSON Web Tokens: which requests have one, and what it says.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use jiff::Timestamp;

use super::bearer::{SignedBy, TokenValidity};
use super::identify::{Identity, Rejection, token};
use super::{Authentication, InvalidToken, VerifiedToken};
use crate::events::Ref;
use crate::http::Problem;
use crate::http::caller::whole_path_of;
use crate::tokens::{AccessToken, KeyInfo, Keys, PresentedToken, TokenError, has_form_of_access_token};

impl Authentication {
    /// Also accepts access tokens that these keys sign, in `Authorization: Bearer` or the cookie. The actor is the one that the
    /// token names, and the token restricts what the actor may do. Without [`bearer`](Self::bearer) and
    /// [`trusting`](Self::trusting), each request needs one.
    ///
    /// The application needs [rights in its log](crate::app::App::access), which say whether a grant still holds: without them,
    /// access tokens are refused.
    #[must_use]
    pub fn access_tokens(mut self, keys: Keys) -> Self {
        self.access = Some(keys);
        self
    }

    /// The keys of access tokens.
    pub(in crate::http) fn access_keys(&self) -> Option<&Keys> {
        self.access.as_ref()
    }

    /// The identity of a request that has an access token.
    pub(super) fn identify_by_access_token(
        &self,
        parts: &Parts,
        observes: bool,
    ) -> Result<Option<Identity>, Rejection> {
        let Some(keys) = &self.access else { return Ok(None) };
        let Ok(text) = token(&parts.headers) else { return Ok(None) };
        if !has_form_of_access_token(text) {
            return Ok(None);
        }
        let (token, key) = verify(keys, text).map_err(|error| rejection(&error, None))?;
        let now = Timestamp::now();
        let (actor, validity) = (token.actor().clone(), validity(&token, keys, key.clone(), now));
        let path = whole_path_of(&parts.extensions, &parts.uri);
        let presented = PresentedToken::new(Arc::new(token), keys, key);
        let presented = presented.with_request(parts.method.as_str(), path, observes);
        match presented.allows_for_some_target(now) {
            Ok(()) => Ok(Some(Identity { presented: Some(presented), ..Identity::new(actor, validity) })),
            Err(error) => Err(rejection(&error, Some(actor))),
        }
    }

    /// Verifies an access token for a protocol of the application's own. It has no method and no path: a token that is narrowed to
    /// some allows nothing there.
    pub(super) fn verify_access_token(&self, text: &str) -> Option<Result<VerifiedToken, InvalidToken>> {
        let keys = self.access.as_ref().filter(|_| has_form_of_access_token(text))?;
        let now = Timestamp::now();
        let verified = verify(keys, text).and_then(|(token, key)| match token.expires() {
            Some(expires) if expires <= now => Err(TokenError::Expired),
            _ => Ok((token, key)),
        });
        Some(match verified {
            Ok((token, key)) => Ok(VerifiedToken {
                actor: token.actor().clone(),
                valid_for: validity(&token, keys, key.clone(), now).remaining(),
                claims: serde_json::Map::new(),
                presented: Some(PresentedToken::new(Arc::new(token), keys, key)),
            }),
            Err(error) => Err(InvalidToken(Cow::Owned(error.to_string()))),
        })
    }
}

/// Verifies a token, and returns the key that signed it.
fn verify(keys: &Keys, text: &str) -> Result<(AccessToken, KeyInfo), TokenError> {
    let keys = keys.current();
    let token = keys.verify(text)?;
    let key = keys.infos().into_iter().find(|key| key.id == token.key());
    key.map(|key| (token, key)).ok_or(TokenError::Signature)
}

fn validity(token: &AccessToken, keys: &Keys, key: KeyInfo, now: Timestamp) -> TokenValidity {
    let seconds = token.expires().map_or(f64::MAX, |expires| expires.duration_since(now).as_secs_f64());
    TokenValidity::new(seconds, SignedBy::TokenKey(keys.clone(), key))
}

/// The rejection of a request whose token is not accepted or does not allow it, with a challenge (RFC 6750, 3).
pub(in crate::http) fn rejection(error: &TokenError, actor: Option<Ref>) -> Rejection {
    tracing::info!(%error, "an access token was refused");
    let actor = match error {
        TokenError::Block { actor, .. } => Some((**actor).clone()),
        _ => actor,
    };
    let problem = match error.is_invalid() {
        true => Problem::invalid_token(error.to_string()),
        false => Problem::denied(error.to_string())
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"insufficient_scope\"")),
    };
    Rejection { problem, actor: actor.map(Box::new) }
}
