//! HTML for people: what happens, told live; the history of a thing; numbers, projections, refusals; the check of the log.
//!
//! Everything is written here and works without a script; the script puts times into the reader's zone, adds rows as they
//! come and moves bars. No script and no style stands in the HTML, and nothing is loaded from anywhere else.
//!
//! ## Layout
//! - `site`: where it is mounted, and the frame around all of it; `colour`, `assets`: what it looks like
//! - `asking`: who asks, and what for
//! - `address`: what an address asks for; `question`: what a page of the feed asks the log
//! - `feed`: the feed; `form`, `facets`: what stands around it; `event`: a row
//! - `numbers`, `chart`: rates, busiest, changes of behaviour
//! - `upkeep`: the projections; `verify`: the check of the log
//! - `sign_in`: how a browser gets a token
//! - `words`: times, numbers, things, so that nothing in them acts

mod address;
mod asking;
mod assets;
mod chart;
mod colour;
mod event;
mod facets;
mod feed;
mod form;
mod numbers;
mod question;
mod sign_in;
mod site;
mod upkeep;
mod verify;
mod words;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use self::address::Address;
use self::site::{Section, Site};
use super::{Problem, Shared};

/// Its own script, style and pictures, and nothing in the HTML itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// The page's own routes: who asks is known to them.
pub(super) fn routes(_shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/", get(feed::activity))
        .route("/history", get(feed::history))
        .route("/refusals", get(feed::refusals))
        .route("/rows", get(feed::rows))
        .route("/numbers", get(numbers::show))
        .route("/upkeep", get(upkeep::show))
        .route("/upkeep/now", get(upkeep::now))
        .route("/upkeep/rebuild", post(upkeep::rebuild))
        .route("/upkeep/resume", post(upkeep::resume))
        .route("/verify", get(verify::show).post(verify::start))
        .route("/verify/now", get(verify::now))
}

/// What anybody gets: style, script, what signs somebody in. Nothing of the log.
pub(super) fn open_routes(_shared: &Shared) -> Router<Shared> {
    Router::new()
        .route("/assets/{name}", get(asset))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
}

async fn asset(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    assets::serve(&name, Site::of(&shared).colour)
}

/// Whether who asks would rather have a page than JSON.
pub(super) fn is_preferred(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts.is_some_and(|accept| accept.contains("text/html"))
}

/// What a browser is shown in place of a problem; none: it gets the problem as JSON, like a program.
pub(super) fn of_problem(shared: &Shared, problem: &Problem) -> Option<Response> {
    let site = Site::of(shared);
    let content = match problem.status() {
        StatusCode::UNAUTHORIZED if shared.authentication().is_required() => {
            sign_in::form(&site, Some(problem.detail()))
        }
        _ => html! {
            div.title { h1 { (upper(problem.title())) } }
            div.note.bad { p { (words::given(problem.detail())) } }
            p { a href=(site.link("", &Address::default())) { "To the activity" } }
        },
    };
    let mut response = sent(site.page(Section::Other, &upper(problem.title()), &content));
    *response.status_mut() = problem.status();
    Some(response)
}

/// The same with a capital letter.
fn upper(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A page on its way out.
fn sent(page: Markup) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not "no-referrer": a form would be sent as from nowhere, which looks like another site's.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::VARY, HeaderValue::from_static("Accept-Language, Cookie")),
    ];
    (headers, Html(page.into_string())).into_response()
}
