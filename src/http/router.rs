//! [`RouterBuilder`]: configures and builds the router.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;

use super::colour::Colour;
use super::limits::Limits;
#[cfg(test)]
use super::limits::StreamTimeouts;
use super::middleware::{self, Access};
use super::state::{AppState, Settings};
use super::{Authentication, Problem, live, openapi, operations, page};
use crate::app::Annals;

/// Returns a builder for a router that serves an open application to programs and to people.
///
/// Every request is answered with 401 until [`RouterBuilder::authentication`] is set.
pub fn router(annals: Annals) -> RouterBuilder {
    let settings = Settings {
        name: "annals".to_owned(),
        colour: Colour::default(),
        base: String::new(),
        authentication: Authentication::default(),
        limits: Limits::default(),
        with_claims: false,
    };
    RouterBuilder { annals, settings }
}

/// Configures a router. [`into_router`](Self::into_router) builds it.
#[derive(Clone, Debug)]
#[must_use = "call `into_router` to build the router"]
pub struct RouterBuilder {
    annals: Annals,
    settings: Settings,
}

impl RouterBuilder {
    /// Sets the application's name, as the page shows it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// Sets the page's colour, in CSS notation: `#0a5c36`.
    ///
    /// # Panics
    /// If it is not `#` and six hexadecimal digits.
    pub fn colour(mut self, colour: &str) -> Self {
        match colour.parse() {
            Ok(colour) => self.settings.colour = colour,
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// Sets the path that the application mounts the router at (`Router::nest("/annals", …)`). Links on the page start
    /// with it.
    pub fn mounted_at(mut self, base: &str) -> Self {
        self.settings.base = base.trim_end_matches('/').to_owned();
        self
    }

    /// Sets how callers are authenticated. Default: every request is answered with 401.
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.settings.authentication = authentication;
        self
    }

    /// Sets the largest request body, in bytes. Default: 1 MiB.
    pub fn largest_body(mut self, bytes: usize) -> Self {
        self.settings.limits.largest_body = bytes;
        self
    }

    /// Sets how many requests may be in progress at a time, without streams and downloads. Default: 1,024. One actor may
    /// have a quarter of them, so that no actor can block all others. Further requests are answered with 429 or 503.
    pub fn at_most(mut self, requests: usize) -> Self {
        self.settings.limits.requests = requests;
        self
    }

    /// Sets how many requests a second each actor may make, and how many of them in one burst. Default: no limit. An
    /// anonymous caller is counted by its address.
    pub fn rate(mut self, per_second: std::num::NonZeroU32) -> Self {
        self.settings.limits.rate = Some(per_second);
        self
    }

    #[cfg(test)]
    pub(super) fn stream_timeouts(mut self, timeouts: StreamTimeouts) -> Self {
        self.settings.limits.streams = timeouts;
        self
    }

    /// Builds the router.
    pub fn into_router(self) -> Router {
        let limits = self.settings.limits.start();
        let state = AppState::new(self.annals, self.settings);
        let live = live::routes(&state, limits.clone()).method_not_allowed_fallback(method_not_allowed);
        let limited = openapi::routes(&state)
            .merge(operations::routes())
            .merge(page::routes())
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(not_found)
            .layer(middleware::layer(&state, Access::Limited(limits)));
        page::open_routes()
            .merge(openapi::open_routes())
            .merge(operations::open_routes())
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::layer(&state, Access::Open))
            .merge(limited)
            .merge(live.layer(middleware::layer(&state, Access::Stream)))
            .with_state(state)
    }
}

impl From<RouterBuilder> for Router {
    fn from(builder: RouterBuilder) -> Self {
        builder.into_router()
    }
}

async fn not_found(request: Request) -> Problem {
    Problem::not_found(format!("no route matches {}: see /openapi.json", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} does not accept {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
}
