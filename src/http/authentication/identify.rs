//! [`Identity`]: the actor of a request.

use std::sync::Arc;

use axum::http::{HeaderMap, header, request::Parts};
use serde_json::{Map, Value};

use super::origin::{check_loopback, check_same_origin};
use super::{Authentication, Mode, TokenValidity};
use crate::events::Ref;
use crate::http::Problem;

/// The cookie that holds a browser's token. The page sets it.
pub(in crate::http) const TOKEN_COOKIE: &str = "annals_token";

/// The header that names the actor where callers are trusted.
const ACTOR: &str = "annals-actor";

/// The actor of a request, and its token.
pub(in crate::http) struct Identity {
    /// None: a trusted caller that names no actor.
    pub actor: Option<Ref>,
    /// None: the request has no token.
    pub token: Option<Arc<TokenValidity>>,
    /// The claims of the token, if they are wanted.
    pub claims: Option<Map<String, Value>>,
    /// The access token, if it is one.
    #[cfg(feature = "access")]
    pub presented: Option<crate::tokens::PresentedToken>,
}

impl Identity {
    /// That of a token.
    pub(super) fn new(actor: Ref, token: TokenValidity) -> Self {
        Self { actor: Some(actor), token: Some(Arc::new(token)), ..Self::trusted(None) }
    }

    fn trusted(actor: Option<Ref>) -> Self {
        Self {
            actor,
            token: None,
            claims: None,
            #[cfg(feature = "access")]
            presented: None,
        }
    }
}

/// A request whose caller is not established, or whose token does not allow it.
pub(in crate::http) struct Rejection {
    pub problem: Problem,
    /// The actor that a correctly signed token names.
    pub actor: Option<Box<Ref>>,
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self { problem, actor: None }
    }
}

impl Authentication {
    /// Establishes the actor of a request. `observes`: it is followed live. `with_claims`: with the claims of its token.
    ///
    /// # Errors
    /// 400, 401, 403 or 421.
    pub(in crate::http) fn identify(
        &self,
        parts: &Parts,
        observes: bool,
        with_claims: bool,
    ) -> Result<Identity, Rejection> {
        check_same_origin(parts)?;
        if matches!(self.mode, Mode::Trusting(_)) {
            check_loopback(parts)?;
        }
        #[cfg(feature = "access")]
        if let Some(identity) = self.identify_by_access_token(parts, observes)? {
            return Ok(identity);
        }
        #[cfg(not(feature = "access"))]
        let _ = observes;
        Ok(match &self.mode {
            Mode::Unconfigured if self.is_required() => {
                token(&parts.headers)?;
                return Err(Problem::invalid_token("the token is not an access token").into());
            }
            Mode::Unconfigured => {
                return Err(Problem::unauthenticated(
                    "authentication is not configured: pass `--jwks` or `--secret-file`, or set `RouterBuilder::authentication`",
                )
                .into());
            }
            Mode::Trusting(default) => Identity::trusted(match parts.headers.get(ACTOR) {
                None => default.clone(),
                Some(named) => {
                    let named = named.to_str().ok().and_then(|named| named.parse().ok());
                    let invalid =
                        || Problem::malformed("the header `Annals-Actor` is not a reference like `user:alice`");
                    Some(named.ok_or_else(invalid)?)
                }
            }),
            Mode::Bearer(bearer) => {
                bearer.verify(token(&parts.headers)?, with_claims).map_err(Problem::invalid_token)?
            }
        })
    }
}

/// The token of the `Authorization` header, else of the cookie.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let missing = || Problem::unauthenticated("a token is required: send `Authorization: Bearer …`");
    let Some(header) = headers.get(header::AUTHORIZATION) else { return cookie(headers).ok_or_else(missing) };
    let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(token.trim()),
        false => Err(missing()),
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == TOKEN_COOKIE).then_some(value)
    })
}
