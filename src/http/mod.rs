//! The HTTP API for programs and the page for people.
//!
//! [`router`] returns a builder for an axum `Router` that an application mounts. `<app> serve` serves it alone, by
//! [`serve`].
//!
//! ```no_run
//! use annals::http::{Authentication, Keys};
//! # async fn example(annals: annals::app::Annals) -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Authentication::bearer(Keys::from_jwks_file("keys.json").await?, "annals");
//! let router = annals::http::router(annals).name("job server").colour("#0a5c36").authentication(keys).into_router();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! annals::http::serve(listener, router, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! An application adds routes of its own to the same program by [`RouterBuilder::with`].
//!
//! ## Routes
//! `/openapi.json` (OpenAPI 3.1) describes all routes; `/try` is a page to send requests from.
//! - `POST /commands/{name}`: executes a command and returns its receipt; `Idempotency-Key` is the command id
//! - `/audit`, `/audit/count`, `/audit/export`: the audit log, with the parameters of
//!   [`AuditQueryParams`](crate::projections::audit::AuditQueryParams)
//! - `/metrics/{topic}`, `/views/{name}/{key}`, `/view-counts/{name}`, `/events`: metrics, views and stored events;
//!   `after=POSITION:EVENT_ID`, the head of a receipt, waits for that write
//! - `/aggregates/{kind}/{id}`: the state of an aggregate; `at=POSITION` or `at=TIME` for the past, of a document of a view too
//! - `/projections`, `/check`: status, rebuild, resume, skip and replay of projections; verification of the log
//! - `/live`, `/live/audit`, `/live/metrics/{topic}`: WebSocket and Server-Sent Events
//! - `/access/keys`, `/access/tokens`: the public keys of access tokens, and issuing one, if they are accepted
//! - `/healthz`, `/readyz`, and exactly `/metrics`: health checks and Prometheus metrics
//!
//! Errors are a [`Problem`] (RFC 9457): 400 malformed (names the field or parameter), 401 not authenticated, 403 denied, 404,
//! 405, 408 body too slow, 409 conflict, 412 precondition not met, 413 and 415 body refused, 421 wrong host, 422 command refused (`refusal` is the
//! variant of its error), 429 too many requests, 503 temporarily unavailable. If it is unknown whether a command was
//! executed, `outcome` is `unknown`: retry with the same `Idempotency-Key`.
//!
//! ## Layout
//! - `router`: [`RouterBuilder`], configures and builds the router
//! - `state`: the state that all routes share
//! - `middleware`: the middleware of all routes
//! - `observation`: the span and the metrics of a request
//! - `request_rules`: headers that may occur once, preconditions, HEAD and OPTIONS
//! - `authentication`: [`Authentication`], how the actor of a request is established
//! - `caller`: the authenticated caller of a request
//! - `past`: what a caller reads of the past
//! - `own_routes`: routes of the application, behind the same middleware
//! - `limits`: limits of body size, concurrency and rate, and time-outs
//! - `params`: extractors for query strings and paths
//! - `body`: reading a request body
//! - `problem`: [`Problem`], an error response
//! - `mapping`: which error becomes which problem
//! - `jobs`: background work that outlives its request
//! - `command_schemas`: the JSON schemas that command bodies are checked against
//! - `http_metrics`: request and stream counters
//! - `access_keys`: the public keys of access tokens (feature `access`)
//! - `api`: the JSON routes
//! - `live`: Server-Sent Events, and JSON-RPC over WebSocket
//! - `openapi`: the OpenAPI document, and the page `/try`
//! - `operations`: health checks and Prometheus metrics
//! - `page`: HTML for people
//! - `colour`: the application's colour
//! - `server`: [`serve`], serves a listener within limits
//! - `idle_connections`: connections that have not sent a request yet
//! - `throughput`: cuts off clients that read too slowly

#[cfg(feature = "access")]
mod access_keys;
mod api;
mod authentication;
mod body;
mod caller;
mod colour;
mod command_schemas;
mod http_metrics;
mod idle_connections;
mod jobs;
mod limits;
mod live;
mod mapping;
mod middleware;
mod observation;
mod openapi;
mod operations;
mod own_routes;
mod page;
mod params;
mod past;
mod problem;
mod request_rules;
mod router;
mod server;
mod state;
mod throughput;

pub use authentication::{Authentication, InvalidToken, KeyError, Keys, VerifiedToken};
pub use caller::Caller;
pub use problem::Problem;
pub use router::{RouterBuilder, router};
pub use server::serve;

use params::{NoParams, PathParams, QueryParams};
use state::AppState;
