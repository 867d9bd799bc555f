//! The page `/try`: a form for each operation of the OpenAPI document. The script makes the forms and sends the requests.

use axum::extract::State;
use axum::response::Response;
use maud::html;

use super::address::Address;
use super::assets;
use super::respond;
use super::site::{Section, Site};
use crate::http::AppState;

/// It reveals nothing of the log, so that a user can enter a token here.
pub(in crate::http) async fn show(State(state): State<AppState>) -> Response {
    let site = Site::of(&state);
    let document = site.link("openapi.json", &Address::default());
    let content = html! {
        div.title {
            div {
                h1 { "Try it" }
                p { "Send requests to the operations of " a href=(document) { "openapi.json" } "." }
            }
        }
        form #who .filter.sheet {
            div.fields {
                div { label for="token" { "Token" } input #token type="password" autocomplete="off" placeholder="if you are not signed in"; }
                div { label for="actor" { "Actor" } input #actor autocomplete="off" spellcheck="false" autocapitalize="none" placeholder="user:alice, without a token"; }
                div.go { button.main type="submit" { "Load" } }
            }
        }
        div #operations .stack data-base=(site.base) data-document=(document) aria-live="polite" {}
        noscript { p { "This page needs JavaScript. " a href=(document) { "openapi.json" } " does not." } }
        script src={ (site.base) "/" (assets::try_script().path()) } defer {}
    };
    respond(site.page(Section::Other, "Try it", &content))
}
