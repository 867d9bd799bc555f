//! Same-origin and loopback checks.
//!
//! A browser sends requests for any open page. Another site's page must not write with the user's cookie or open a
//! WebSocket (CSRF), nor reach a trusting server by a DNS name that points at this machine (DNS rebinding).

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, Method, StatusCode, header, request::Parts};

use crate::http::Problem;

/// The requested host and port.
pub(in crate::http) fn host(parts: &Parts) -> Option<&str> {
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(axum::http::uri::Authority::as_str).or(named)
}

/// Refuses a request with an effect that comes from another site's page.
pub(in crate::http) fn check_same_origin(parts: &Parts) -> Result<(), Problem> {
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
    Problem::denied("cross-origin request: only pages of this server may send it")
}

/// Refuses a request that is not for a loopback name.
pub(super) fn check_loopback(parts: &Parts) -> Result<(), Problem> {
    match host(parts).is_some_and(is_loopback) {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "misdirected request",
            "without authentication the server answers only requests to localhost, 127.0.0.1 or [::1]",
        )),
    }
}

/// Whether a host, with or without a port, is a loopback name: `localhost`, `127.0.0.1:8080`, `[::1]:8080`. False if any
/// part of it is malformed.
pub(in crate::http) fn is_loopback(host: &str) -> bool {
    let (loopback, rest) = match host.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            (address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()), rest)
        }
        None => {
            let (name, rest) = host.split_at(host.find(':').unwrap_or(host.len()));
            let address = name.parse::<Ipv4Addr>();
            (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback()), rest)
        }
    };
    let port = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    loopback && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_loopback_host_is_accepted() {
        for own in
            ["localhost", "LocalHost:80", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080", "[::1]:", "localhost:"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in [
            "",
            ":80",
            "[::1].evil",
            "[::1].evil:80",
            "[::1]evil",
            "[::1]:80.evil",
            "[::1",
            "[127.0.0.1]",
            "[localhost]",
            "[::1%25lo]",
            "::1",
            "::1:80",
            "localhost.evil",
            "localhost:80.evil",
            "localhost:80:evil",
            "localhost@evil",
            "127.0.0.1.evil",
            "127.0.0.1:80@evil",
            "127.1",
            "0.0.0.0",
            "10.0.0.1",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
