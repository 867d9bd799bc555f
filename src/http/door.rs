//! [`Door`], the builder, and [`Shared`], what all routes share.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;

use super::api::{Jobs, Schemas};
use super::limits::{Limits, Places};
use super::operations::{self, Traffic};
use super::standing::{Guard, standing};
use super::{Authentication, Problem, live, openapi, page};
use crate::app::Annals;
use crate::projections::Progress;
use crate::store::CheckReport;

/// A router for an open application: everything that other programs and people do with it over HTTP.
///
/// Nobody is let in until it is said who may be believed: see [`Door::authentication`].
pub fn router(annals: Annals) -> Door {
    Door {
        annals,
        name: "annals".to_owned(),
        colour: "#1f5f8b".to_owned(),
        base: String::new(),
        authentication: Authentication::default(),
        limits: Limits::default(),
        pace: live::Pace::default(),
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
    limits: Limits,
    pace: live::Pace,
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

    /// The largest body that is taken, in bytes: 1 MiB, unless it is said.
    pub fn largest_body(mut self, bytes: usize) -> Self {
        self.limits.largest_body = bytes;
        self
    }

    /// How many requests may be under way at a time, streams and downloads not counted: 1,024, unless it is said. One actor
    /// may have a quarter of them, so that nobody keeps all others out. More are turned away.
    pub fn at_most(mut self, requests: usize) -> Self {
        self.limits.requests = requests;
        self
    }

    /// How many requests each actor may make in a second, as many of them at once: any number, unless it is said. Who
    /// is not known goes by the address.
    pub fn rate(mut self, per_second: std::num::NonZeroU32) -> Self {
        self.limits.rate = Some(per_second);
        self
    }

    #[cfg(test)]
    pub(super) fn pace(mut self, pace: live::Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The router.
    pub fn into_router(self) -> Router {
        let shared = Shared(Arc::new(Inner {
            schemas: Schemas::new(&self.annals),
            traffic: Traffic::default(),
            exports: Places::new("exports", EXPORTS),
            rebuilds: Jobs::default(),
            checks: Jobs::default(),
            door: self,
        }));
        let bounds = shared.0.door.limits.start();
        let live = live::routes(&shared, bounds.clone()).method_not_allowed_fallback(method_not_allowed);
        let guarded = openapi::routes(&shared)
            .merge(operations::routes())
            .merge(page::routes(&shared))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(nothing_here)
            .layer(standing(&shared, Guard::Bounded(bounds)));
        page::open_routes(&shared)
            .merge(openapi::open_routes())
            .merge(operations::open_routes())
            .method_not_allowed_fallback(method_not_allowed)
            .layer(standing(&shared, Guard::Open))
            .merge(guarded)
            .merge(live.layer(standing(&shared, Guard::Unbounded)))
            .with_state(shared)
    }
}

impl From<Door> for Router {
    fn from(door: Door) -> Self {
        door.into_router()
    }
}

/// What all routes share: the application, and what the door was told.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    door: Door,
    schemas: Schemas,
    traffic: Traffic,
    exports: Places,
    rebuilds: Jobs<Progress>,
    checks: Jobs<CheckReport>,
}

/// How many exports may be under way at a time.
const EXPORTS: usize = 16;

impl Shared {
    /// The application. What it reads by itself nobody is asked about and nobody recorded as reading: a route reads by
    /// its [`Asker`](super::Asker).
    #[must_use]
    pub fn annals(&self) -> &Annals {
        &self.0.door.annals
    }

    /// What the page calls the application.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.door.name
    }

    /// The page's colour.
    #[must_use]
    pub fn colour(&self) -> &str {
        &self.0.door.colour
    }

    /// What links of the page begin with: nothing, or where it is mounted, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.0.door.base
    }

    /// Who may be believed to be whom.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.0.door.authentication
    }

    pub(super) fn largest_body(&self) -> usize {
        self.0.door.limits.largest_body
    }

    pub(super) fn pace(&self) -> live::Pace {
        self.0.door.pace
    }

    /// What comes and goes: a route that stays open says so, by [`Traffic::follower`].
    pub(super) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    pub(super) fn schemas(&self) -> &Schemas {
        &self.0.schemas
    }

    /// Room for exports.
    pub(super) fn exports(&self) -> &Places {
        &self.0.exports
    }

    pub(super) fn rebuilds(&self) -> &Jobs<Progress> {
        &self.0.rebuilds
    }

    pub(super) fn checks(&self) -> &Jobs<CheckReport> {
        &self.0.checks
    }
}

async fn nothing_here(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at {}", request.uri().path()))
}

async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} is not possible at {}", request.method(), request.uri().path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this method is not possible here", detail)
}
