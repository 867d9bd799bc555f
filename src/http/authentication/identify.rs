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
}

impl Authentication {
    /// Establishes the actor of a request. `with_claims`: with the claims of its token.
    ///
    /// # Errors
    /// 400, 401, 403 or 421.
    pub(in crate::http) fn identify(&self, parts: &Parts, with_claims: bool) -> Result<Identity, Problem> {
        check_same_origin(parts)?;
        match &self.0 {
            Mode::Unconfigured => Err(Problem::unauthenticated(
                "authentication is not configured: pass `--jwks` or `--secret-file`, or set `RouterBuilder::authentication`",
            )),
            Mode::Trusting(default) => {
                check_loopback(parts)?;
                let actor = match parts.headers.get(ACTOR) {
                    None => default.clone(),
                    Some(named) => {
                        let named = named.to_str().ok().and_then(|named| named.parse().ok());
                        let invalid =
                            || Problem::malformed("the header `Annals-Actor` is not a reference like `user:alice`");
                        Some(named.ok_or_else(invalid)?)
                    }
                };
                Ok(Identity { actor, token: None, claims: None })
            }
            Mode::Bearer(bearer) => {
                bearer.verify(token(&parts.headers)?, with_claims).map_err(Problem::invalid_token)
            }
        }
    }
}

/// The token of the `Authorization` header, else of the cookie.
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
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
