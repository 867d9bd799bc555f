//! [`RouterBuilder`]: configures and builds the router.

use axum::Router;
use axum::extract::{RawQuery, Request};
use axum::http::Uri;
use axum::response::Redirect;
use axum::routing::any;

#[cfg(feature = "access")]
use super::access_keys;
use super::colour::Colour;
use super::limits::Limits;
#[cfg(test)]
use super::limits::StreamTimeouts;
use super::middleware::{self, Access};
use super::request_rules::{Methods, not_found};
use super::state::{AppState, Settings};
use super::{Authentication, live, openapi, operations, own_routes, page};
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
    RouterBuilder { annals, settings, own: None }
}

/// Configures a router. [`into_router`](Self::into_router) builds it.
#[derive(Clone, Debug)]
#[must_use = "call `into_router` to build the router"]
pub struct RouterBuilder {
    annals: Annals,
    settings: Settings,
    /// Routes of the application.
    own: Option<Router>,
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

    /// Sets a path below which all routes are: `/annals`. Merge the router into the application's own.
    ///
    /// ```
    /// # fn with(own: axum::Router, annals: annals::app::Annals) -> axum::Router {
    /// own.merge(annals::http::router(annals).mounted_at("/annals").into_router())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If it is not empty and does not begin with a slash.
    pub fn mounted_at(mut self, base: &str) -> Self {
        assert!(
            base.is_empty() || base.starts_with('/'),
            "the path `{base}` does not begin with a slash: write `/{base}`"
        );
        self.settings.base = base.trim_end_matches('/').to_owned();
        self
    }

    /// Sets how callers are authenticated. Default: every request is answered with 401.
    pub fn authentication(mut self, authentication: Authentication) -> Self {
        self.settings.authentication = authentication;
        self
    }

    /// Adds routes of the application. They get the same authentication, limits, spans, metrics, response headers and problem
    /// documents as the routes of annals, and may use [`Caller`](super::Caller) and [`Context`](crate::commands::Context) as
    /// extractors.
    ///
    /// With [`mounted_at`](Self::mounted_at), the built router is the whole program: the routes of annals are below that path, those
    /// of the application where they are. Do not nest it again. A response must begin within 60 seconds. A response of an error
    /// in plain text, such as axum's for a body that does not parse, becomes a [`Problem`](super::Problem).
    ///
    /// ```no_run
    /// # mod bank { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/bank.rs")); }
    /// # use bank::{AccountId, PayIn};
    /// use annals::http::{Caller, Problem};
    /// use annals::prelude::*;
    /// use axum::extract::{Path, State};
    /// use axum::routing::{get, post};
    /// use axum::{Json, Router};
    ///
    /// async fn whoami(caller: Caller) -> Json<Option<Ref>> {
    ///     Json(caller.actor().cloned())
    /// }
    ///
    /// async fn pay_in(
    ///     State(annals): State<Annals>,
    ///     context: Context,
    ///     Path((account, cents)): Path<(String, u64)>,
    /// ) -> Result<Json<Receipt>, Problem> {
    ///     // A refusal of the command's own error type becomes a problem with status 422.
    ///     Ok(Json(annals.execute(PayIn { account: AccountId::new(account), cents }, &context).await?))
    /// }
    ///
    /// # fn example(annals: Annals) -> Router {
    /// let own = Router::new()
    ///     .route("/whoami", get(whoami))
    ///     .route("/accounts/{account}/{cents}", post(pay_in))
    ///     .with_state(annals.clone());
    /// annals::http::router(annals).mounted_at("/history").with(own).into_router()
    /// # }
    /// # fn main() {}
    /// ```
    ///
    /// # Panics
    /// [`into_router`](Self::into_router) panics if one of these routes is a route of annals too.
    pub fn with(mut self, own: Router) -> Self {
        self.settings.with_claims = true;
        self.own = Some(match self.own {
            Some(others) => others.merge(own),
            None => own,
        });
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
        let Self { annals, settings, own } = self;
        let limits = settings.limits.start();
        let state = AppState::new(annals, settings);
        let own = own.map(|own| {
            let own = own_routes::prepared(own, state.settings().limits.largest_body);
            // The application decides what HEAD does.
            let methods = Methods::new(own.clone(), true);
            guarded(own, &state, methods, Access::Limited(limits.clone()))
        });
        let open = page::open_routes().merge(openapi::open_routes()).merge(operations::open_routes());
        #[cfg(feature = "access")]
        let open = open.merge(access_keys::open_routes(&state));
        let limited = openapi::routes(&state)
            .merge(operations::routes())
            .merge(page::routes(&state))
            .fallback(async |uri: Uri| not_found(&uri));
        let live = live::routes(&state, limits.clone());
        let open_methods = Methods::new(open.clone().with_state(state.clone()), true);
        let methods = Methods::new(limited.clone().merge(live.clone()).with_state(state.clone()), false);
        let annals = guarded(open, &state, open_methods, Access::Open)
            .merge(guarded(limited, &state, methods.clone(), Access::Limited(limits)))
            .merge(guarded(live, &state, methods, Access::Stream))
            .with_state(state.clone());
        let base = state.settings().base.clone();
        match own {
            None if base.is_empty() => annals,
            None => mounted(Router::new(), &base, annals),
            Some(own) if base.is_empty() => annals.merge(own),
            Some(own) => mounted(own, &base, annals).fallback(async |uri: Uri| not_found(&uri)),
        }
    }
}

/// The routes behind the middleware.
fn guarded<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    state: &AppState,
    methods: Methods,
    access: Access,
) -> Router<S> {
    let layer = middleware::layer(state, access, methods.clone());
    routes.method_not_allowed_fallback(move |request: Request| methods.refuse(request)).layer(layer)
}

/// Nests the routes of annals, and redirects the path with a slash at its end, for which a nested router has no route.
fn mounted(own: Router, base: &str, annals: Router) -> Router {
    let to = base.to_owned();
    let root = any(async move |RawQuery(query): RawQuery| {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Redirect::permanent(&format!("{to}{query}"))
    });
    own.nest(base, annals).route(&format!("{base}/"), root)
}

impl From<RouterBuilder> for Router {
    fn from(builder: RouterBuilder) -> Self {
        builder.into_router()
    }
}
