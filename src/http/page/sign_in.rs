//! How a browser gets a token: somebody pastes it, and a cookie that no script can read holds it.

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::sent;
use super::site::{Section, Site};
use super::words::given;
use crate::http::api::read;
use crate::http::authentication::{COOKIE, host, is_loopback, same_site};
use crate::http::{Problem, Shared};

/// The longest form that is taken, in bytes: more than a token has.
const LONGEST: usize = 64 * 1_024;

pub(super) async fn show(State(shared): State<Shared>) -> Response {
    let site = Site::of(&shared);
    sent(site.page(Section::Other, "Sign in", &form(&site, None)))
}

/// What is shown to whom nobody knows.
pub(super) fn form(site: &Site, why: Option<&str>) -> Markup {
    html! {
        div.title { h1 { "Sign in" } }
        form.sign-in method="post" action=(site.link("sign-in", &Address::default())) {
            @if let Some(why) = why { div.note.warn { p { (given(why)) } } }
            div { label for="token" { "Token" } input #token type="password" name="token" required autocomplete="off" spellcheck="false" aria-describedby="how"; }
            p #how .soft { "A JSON Web Token of whoever looks after this application. It stays in this browser until that is closed." }
            button.main type="submit" { "Sign in" }
        }
    }
}

pub(super) async fn sign_in(State(shared): State<Shared>, parts: Parts, body: Body) -> Result<Response, Problem> {
    same_site(&parts)?;
    let form = read(body, LONGEST).await?;
    let address = Address::parse(std::str::from_utf8(&form).ok());
    let token = address.get("token").unwrap_or_default().trim().to_owned();
    let sound = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=+/".contains(&b));
    if token.is_empty() || !sound {
        return Err(Problem::malformed("that is no token: paste it whole, without quotes"));
    }
    Ok(home(&shared, &parts, &token, ""))
}

pub(super) async fn sign_out(State(shared): State<Shared>, parts: Parts) -> Result<Response, Problem> {
    same_site(&parts)?;
    Ok(home(&shared, &parts, "", "; Max-Age=0"))
}

/// To the page, with this in the cookie.
fn home(shared: &Shared, parts: &Parts, token: &str, more: &str) -> Response {
    let site = Site::of(shared);
    // Off this machine a token goes over TLS or not at all.
    let secure = if host(parts).is_some_and(is_loopback) { "" } else { "; Secure" };
    let path = if site.base.is_empty() { "/" } else { &site.base };
    let cookie = format!("{COOKIE}={token}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}");
    let cookie = HeaderValue::from_str(&cookie).ok().map(|cookie| (header::SET_COOKIE, cookie));
    (AppendHeaders(cookie), Redirect::to(&site.link("", &Address::default()))).into_response()
}
