//! Finds out who asks.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, header, request::Parts};
use tokio::time::Instant;

use super::site::{own_name, same_site};
use super::{How, Verified};
use crate::events::Ref;
use crate::http::{Asker, Problem, Shared};

/// The cookie that holds a token, for browsers: the page has it set.
pub(in crate::http) const COOKIE: &str = "annals_token";

/// Says who asks where nobody has to prove it.
const ACTOR: &str = "annals-actor";

/// Who asks, and the request with that beside it.
pub(in crate::http) fn admitted(shared: &Shared, request: Request) -> Result<(Asker, Request), Problem> {
    let (mut parts, body) = request.into_parts();
    readable(&parts)?;
    let (actor, left) = who(&shared.authentication().0, &parts)?;
    if let Some(actor) = &actor {
        actor.check_caller().map_err(|error| Problem::malformed(error.to_string()))?;
        tracing::Span::current().record("actor", actor.as_str());
    }
    let known_until = left.map(|left| Instant::now() + left);
    let asker = Asker::new(shared, &parts, actor, known_until);
    parts.extensions.insert(asker.clone());
    Ok((asker, Request::from_parts(parts, body)))
}

/// An error if the address holds what no store takes.
fn readable(parts: &Parts) -> Result<(), Problem> {
    let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8();
    match path {
        Ok(path) if !path.contains('\0') => Ok(()),
        Ok(_) => Err(Problem::malformed("the address holds a NUL byte")),
        Err(_) => Err(Problem::malformed("the address is not UTF-8")),
    }
}

/// Who asks, none: somebody on this machine who does not say; and for how long that is known, where it ends.
fn who(how: &How, parts: &Parts) -> Result<(Option<Ref>, Option<Duration>), Problem> {
    same_site(parts)?;
    match how {
        How::Nobody => {
            Err(Problem::unauthenticated("this door is not set up: it takes keys to verify tokens with"))
        }
        How::Trusting(actor) => {
            own_name(parts)?;
            match parts.headers.get(ACTOR) {
                None => Ok((actor.clone(), None)),
                Some(said) => {
                    let said = said.to_str().ok().and_then(|said| said.parse().ok());
                    let no_actor = || Problem::malformed("the header Annals-Actor names nobody: write user:alice");
                    said.ok_or_else(no_actor).map(|said| (Some(said), None))
                }
            }
        }
        How::Bearer(bearer) => {
            let token = token(&parts.headers)?;
            let Verified { actor, left } = bearer.verify(token).map_err(Problem::unauthenticated)?;
            Ok((Some(actor), Some(left)))
        }
    }
}

/// The token of the header, or else of the cookie.
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let none = || Problem::unauthenticated("give a token: `Authorization: Bearer …`");
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => cookie(headers).ok_or_else(none),
        (Some(_), Some(_)) => Err(Problem::unauthenticated("give one token, not several")),
        (Some(header), None) => {
            let (scheme, token) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(none)?;
            match scheme.eq_ignore_ascii_case("bearer") {
                true => Ok(token.trim()),
                false => Err(none()),
            }
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE).then_some(value)
    })
}
