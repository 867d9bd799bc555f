//! Signing in: the user pastes a token, and a cookie that no script can read keeps it.

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::respond;
use super::site::{Section, Site};
use super::text::given;
use crate::http::authentication::{TOKEN_COOKIE, check_same_origin, host, is_loopback};
use crate::http::body::read;
use crate::http::{AppState, Problem};

/// The largest form, in bytes: more than a token has.
const MAX_FORM: usize = 64 * 1_024;

pub(super) async fn show(State(state): State<AppState>) -> Response {
    let site = Site::of(&state);
    respond(site.page(Section::Other, "Sign in", &form(&site, None, None)))
}

/// The form, with the reason why it is shown, and the path and query to return to.
pub(super) fn form(site: &Site, why: Option<&str>, back: Option<&str>) -> Markup {
    html! {
        div.title { h1 { "Sign in" } }
        form.sign-in method="post" action=(site.link("sign-in", &Address::default())) {
            @if let Some(why) = why { div.note.warn { p { (given(why)) } } }
            @if let Some(back) = back { input type="hidden" name="back" value=(back); }
            div { label for="token" { "Token" } input #token type="password" name="token" required autocomplete="off" spellcheck="false" aria-describedby="how"; }
            p #how .soft { "A JSON Web Token from the operator of this application. The browser keeps it until you close it." }
            button.main type="submit" { "Sign in" }
        }
    }
}

pub(super) async fn sign_in(State(state): State<AppState>, parts: Parts, body: Body) -> Result<Response, Problem> {
    check_same_origin(&parts)?;
    let sent = read(body, MAX_FORM).await?;
    let address = Address::parse(std::str::from_utf8(&sent).ok());
    let token = address.get("token").unwrap_or_default().trim().to_owned();
    let back = address.get("back").filter(|back| is_of_this_site(back));
    let sound = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=+/".contains(&b));
    if token.is_empty() || !sound {
        let (site, why) = (Site::of(&state), "this is not a token: paste the whole token, without quotes");
        let mut response = respond(site.page(Section::Other, "Sign in", &form(&site, Some(why), back)));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    }
    Ok(set_cookie(&state, &parts, &token, "", back))
}

/// Whether this is a path and query. Browsers treat `//host` and `/\\host` as another site.
fn is_of_this_site(back: &str) -> bool {
    back.starts_with('/') && !back.starts_with("//") && !back.contains('\\') && back.parse::<PathAndQuery>().is_ok()
}

pub(super) async fn sign_out(State(state): State<AppState>, parts: Parts) -> Result<Response, Problem> {
    check_same_origin(&parts)?;
    Ok(set_cookie(&state, &parts, "", "; Max-Age=0", None))
}

/// Sets the cookie, and redirects to a path and query of this site, or to the feed.
fn set_cookie(state: &AppState, parts: &Parts, token: &str, more: &str, to: Option<&str>) -> Response {
    let site = Site::of(state);
    // From other machines, the browser sends the token only over TLS.
    let secure = if host(parts).is_some_and(is_loopback) { "" } else { "; Secure" };
    let path = if site.base.is_empty() { "/" } else { &site.base };
    let cookie = format!("{TOKEN_COOKIE}={token}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}");
    let cookie = HeaderValue::from_str(&cookie).ok().map(|cookie| (header::SET_COOKIE, cookie));
    let to = to.map_or_else(|| site.link("", &Address::default()), str::to_owned);
    (AppendHeaders(cookie), Redirect::to(&to)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_site_is_returned_to() {
        for back in ["/", "/?actor=user%3Aalice", "/history?of=a%3Ab", "/page/metrics?last=day&topic=//x"] {
            assert!(is_of_this_site(back), "{back}");
        }
        for back in
            ["", "//evil.example/", "/\\evil.example", "https://evil.example/", "page", "/a b", "/\r\nSet-Cookie:x"]
        {
            assert!(!is_of_this_site(back), "{back}");
        }
    }
}
