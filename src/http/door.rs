//! [`Door`], the builder, and [`Shared`], what all routes share.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::authentication::admit;
use super::{Authentication, Problem, live, page};
use crate::app::Annals;

/// A router for an open application: everything that other programs and people do with it over HTTP.
///
/// Nobody is let in until it is said who may be believed: see [`Door::authentication`].
#[must_use]
pub fn router(annals: Annals) -> Door {
    Door {
        annals,
        name: "annals".to_owned(),
        colour: "#1f5f8b".to_owned(),
        base: String::new(),
        authentication: Authentication::default(),
    }
}

/// A router in the making.
#[derive(Clone, Debug)]
#[must_use = "it becomes a router by `into_router`"]
pub struct Door {
    annals: Annals,
    name: String,
    colour: String,
    base: String,
    authentication: Authentication,
}

impl Door {
    /// What the page calls the application.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The page's colour, as CSS has it: `#0a5c36`.
    ///
    /// # Panics
    /// When it is not `#` and six hexadecimal digits.
    pub fn colour(mut self, colour: &str) -> Self {
        let digits = colour.strip_prefix('#').filter(|digits| digits.len() == 6);
        let sound = digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(sound, "`{colour}` is no colour: write # and six hexadecimal digits");
        self.colour = colour.to_owned();
        self
    }

    /// Where the application mounts it (`Router::nest("/annals", …)`), for the links of the page.
    pub fn mounted_at(mut self, base: &str) -> Self {
        self.base = base.trim_end_matches('/').to_owned();
        self
    }

    /// Who may be believed to be whom. Nobody, unless it is said.
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.authentication = authentication;
        self
    }

    /// The router.
    #[must_use]
    pub fn into_router(self) -> Router {
        let shared = Shared(Arc::new(self));
        let guarded = Router::new()
            .merge(page::routes(&shared))
            .merge(live::routes(&shared))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(nothing_here)
            .layer(middleware::from_fn_with_state(shared.clone(), admit));
        Router::new()
            .merge(page::open_routes(&shared))
            .method_not_allowed_fallback(method_not_allowed)
            .merge(guarded)
            .layer(middleware::from_fn_with_state(shared.clone(), for_browsers))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(header_unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(header_unless_set(header::REFERRER_POLICY, "no-referrer"))
            .layer(header_unless_set(header::X_FRAME_OPTIONS, "DENY"))
            .layer(header_unless_set(header::CACHE_CONTROL, "no-store"))
            .layer(header_unless_set(
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ))
            .with_state(shared)
    }
}

impl From<Door> for Router {
    fn from(door: Door) -> Self {
        door.into_router()
    }
}

/// What all routes share: the application, and what the door was told.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Door>);

impl Shared {
    /// The application. What it reads by itself nobody is asked about and nobody recorded as reading: a route reads by
    /// its [`Asker`](super::Asker).
    #[must_use]
    pub fn annals(&self) -> &Annals {
        &self.0.annals
    }

    /// What the page calls the application.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The page's colour.
    #[must_use]
    pub fn colour(&self) -> &str {
        &self.0.colour
    }

    /// What links of the page begin with: nothing, or where it is mounted, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Who may be believed to be whom.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.0.authentication
    }
}

fn header_unless_set(name: axum::http::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn nothing_here(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at {}", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not possible at {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this method is not possible here", detail)
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().cloned();
    let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
    Problem::internal(&std::io::Error::other(words.unwrap_or_else(|| "a panic".to_owned()))).into_response()
}

/// Shows a problem as a page to who prefers one.
async fn for_browsers(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_page = accepts.is_some_and(|accept| accept.contains("text/html"));
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) if wants_page => page::of_problem(&shared, problem).unwrap_or(response),
        _ => response,
    }
}
