//! Which pages of a browser may ask at all.
//!
//! A browser asks on behalf of any page that is open in it. Another site's page must not write with somebody's cookie,
//! open a WebSocket, or, where nobody needs a token, reach this machine by a name that was pointed at it.

use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};

use crate::http::Problem;

/// The host and port that were asked for.
pub(in crate::http) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(axum::http::uri::Authority::as_str).or(named)
}

/// An error if another site's page asks for what has an effect.
pub(in crate::http) fn same_site(parts: &Parts) -> Result<(), Problem> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reads && !parts.headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let text =
        |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    if text(&parts.headers, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(foreign());
    }
    match text(&parts.headers, "origin") {
        None => Ok(()),
        Some(origin) => match origin.split_once("://") {
            Some((_, from)) if host(parts).is_some_and(|host| host.eq_ignore_ascii_case(from)) => Ok(()),
            _ => Err(foreign()),
        },
    }
}

fn foreign() -> Problem {
    Problem::denied("a page of another site asks: only this one's own may")
}

/// An error unless this machine was asked by a name of its own.
pub(super) fn own_name(parts: &Parts) -> Result<(), Problem> {
    let name = host(parts).map(name_of).unwrap_or_default();
    match is_loopback(name) {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "this is another host",
            "without authentication only this machine itself may ask, as localhost",
        )),
    }
}

/// Without the port.
pub(in crate::http) fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether it is a name of this machine itself.
pub(in crate::http) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
