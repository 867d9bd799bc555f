//! HTML for people: the live feed of events, the history of an object, metrics, projections, refusals and the check of the
//! log.
//!
//! The pages are rendered on the server and work without scripts. The script shows times in the reader's time zone, adds
//! new rows and updates progress bars. HTML contains no inline script or style, and nothing is loaded from other hosts.
//!
//! ## Layout
//! - `access`: requests to decide, grants, and forms that change them (feature `access`)
//! - `flows`: where things flow, if the application keeps flows
//! - `site`: [`Site`], the mount path and the frame of all pages
//! - `assets`: the static files
//! - `request`: [`PageRequest`](request::PageRequest), a request for a page; [`FormRequest`](request::FormRequest), a submitted form
//! - `address`: [`Address`], the query string of a page
//! - `feed_query`: [`FeedQuery`](feed_query::FeedQuery), the query of a page of the feed
//! - `feed`: the feed
//! - `form`: the filter form
//! - `facets`: how many events each actor, action, type and topic has
//! - `erasures`: erasures of personal data (feature `personal`)
//! - `event`: a row of the feed
//! - `state`: the versions of an aggregate
//! - `provenance`: what a thing is made of, and what came of it, as a drawing and a table
//! - `difference`: what differs between two of them
//! - `metrics`: rates, most active actors, anomalies
//! - `chart`: bar charts
//! - `projections`: the projections
//! - `proofs`: the last checkpoint of the log, and the proof of an event (feature `proofs`)
//! - `reactions`: what reactions have to do
//! - `verify`: the check of the log
//! - `try_it`: requests to the operations of the OpenAPI document
//! - `sign_in`: signing in with a token, and out
//! - `text`: times, numbers, references and topics as HTML

#[cfg(feature = "access")]
mod access;
mod address;
mod assets;
mod chart;
mod difference;
#[cfg(feature = "personal")]
mod erasures;
mod event;
mod facets;
mod feed;
mod feed_query;
mod flows;
mod form;
mod metrics;
mod projections;
#[cfg(feature = "proofs")]
mod proofs;
mod provenance;
mod reactions;
mod request;
mod sign_in;
mod site;
mod state;
mod text;
mod try_it;
mod verify;

use axum::Router;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use self::address::Address;
use self::site::{Section, Site};
pub(super) use self::try_it::show as try_it;
use super::{AppState, Problem};

/// Allows only scripts, styles and images of this server, and no inline ones.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// The routes that need an authenticated caller. `/metrics` and `/projections` are JSON, so their pages are below `/page`.
pub(super) fn routes(state: &AppState) -> Router<AppState> {
    #[cfg(feature = "access")]
    let routes = access::routes(state);
    #[cfg(not(feature = "access"))]
    let routes = Router::new();
    let routes = match state.annals().keeps_provenance() {
        true => routes.route("/page/provenance/{kind}/{id}", get(provenance::show)),
        false => routes,
    };
    let routes = match state.annals().keeps_flows() {
        true => routes.route("/page/flows", get(flows::show)),
        false => routes,
    };
    #[cfg(feature = "personal")]
    let routes = match state.annals().has_personal_data() {
        true => routes.route("/page/erasures/erase", post(erasures::erase)),
        false => routes,
    };
    #[cfg(feature = "proofs")]
    let routes = match state.annals().keeps_proofs() {
        true => routes.route("/page/proof", get(proofs::find)),
        false => routes,
    };
    routes
        .route("/", get(feed::activity))
        .route("/history", get(feed::history))
        .route("/page/state", get(state::show))
        .route("/refusals", get(feed::refusals))
        .route("/rows", get(feed::rows))
        .route("/page/metrics", get(metrics::show))
        .route("/page/projections", get(projections::show))
        .route("/page/projections/now", get(projections::now))
        .route("/page/projections/rebuild", post(projections::rebuild))
        .route("/page/projections/resume", post(projections::resume))
        .route("/page/reactions", get(reactions::show))
        .route("/page/reactions/skip", post(reactions::skip))
        .route("/page/reactions/replay", post(reactions::replay))
        .route("/numbers", get(metrics::moved))
        .route("/upkeep", get(projections::moved))
        .route("/verify", get(verify::show).post(verify::start))
        .route("/verify/now", get(verify::now))
}

/// The routes without authentication: static files and signing in. They reveal nothing of the log.
pub(super) fn open_routes() -> Router<AppState> {
    Router::new()
        .route("/assets/{name}", get(asset))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
}

async fn asset(State(state): State<AppState>, Path(name): Path<String>) -> Response {
    assets::serve(&name, Site::of(&state).colour)
}

/// A request of a browser, which gets a page for a problem.
pub(super) struct BrowserRequest {
    /// The path and query of a page, to return to after signing in.
    back: Option<String>,
}

impl BrowserRequest {
    /// `None` if the client does not accept HTML.
    pub(super) fn of(request: &Request) -> Option<Self> {
        accepts_page(request.headers()).then(|| {
            // The address before the router was mounted below a path.
            let original = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
            let back = original.path_and_query().filter(|_| request.method() == Method::GET);
            Self { back: back.map(|back| back.as_str().to_owned()) }
        })
    }
}

/// Whether the client accepts HTML.
fn accepts_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts.is_some_and(|accept| accept.contains("text/html"))
}

/// The page that a browser is shown for a problem.
pub(super) fn of_problem(state: &AppState, problem: &Problem, request: &BrowserRequest) -> Response {
    let site = Site::of(state);
    let content = match problem.status() {
        StatusCode::UNAUTHORIZED if state.settings().authentication.is_required() => {
            sign_in::form(&site, Some(problem.detail()), request.back.as_deref())
        }
        _ => html! {
            div.title { h1 { (capitalised(problem.title())) } }
            div.note.bad { p { (text::given(problem.detail())) } }
            p { a href=(site.link("", &Address::default())) { "Go to the activity feed" } }
        },
    };
    let mut response = respond(site.page(Section::Other, &capitalised(problem.title()), &content));
    *response.status_mut() = problem.status();
    response.headers_mut().extend(problem.headers());
    response
}

/// The text with a capital first letter.
fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The response with a page.
fn respond(page: Markup) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: a form would be sent with `Origin: null`, like from another site.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::VARY, HeaderValue::from_static("Accept-Language, Cookie")),
    ];
    (headers, Html(page.into_string())).into_response()
}
