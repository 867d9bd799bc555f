//! The door for other programs, and a page for people.
//!
//! [`router`] gives an axum `Router` that an application mounts; `<app> serve` runs it alone, with [`serve`].
//!
//! ```no_run
//! use annals::http::{Authentication, Keys};
//! # async fn example(annals: annals::app::Annals, jwks: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Authentication::bearer(Keys::from_jwks(jwks)?, "annals");
//! let router = annals::http::router(annals).name("job server").colour("#0a5c36").authentication(keys).into_router();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! annals::http::serve(listener, router, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! ## What there is
//! `/openapi.json` (OpenAPI 3.1) describes it all, `/try` is a page to try it.
//! - `POST /commands/{name}`: executes a command, and answers with its receipt; `Idempotency-Key` is the command's id
//! - `/audit`, `/audit/count`, `/audit/export`: the audit log, in the words of [`Asked`](crate::projections::audit::Asked)
//! - `/metrics/{topic}`, `/views/{name}/{key}`, `/events`: the other things that are read; `after=POSITION:EVENT_ID`, the
//!   head of a receipt, waits for that write
//! - `/projections`, `/check`: how far they are; rebuilding, resuming, skipping, replaying; verifying the log
//! - `/healthz`, `/readyz`, and `/metrics` exactly: for those who keep the program running
//!
//! What goes wrong is a [`Problem`] of RFC 9457: 400 what cannot be understood (the field or parameter is named), 401 who is
//! not known, 403 denied, 404, 405, 408 a body that does not come, 409 a conflict, 413 and 415 a body that is not taken, 421
//! another host, 422 a refused command (`refusal` is the case of its error), 429 too often, 503 not now. Where it is not
//! known whether a command was executed, `outcome` is `unknown`: ask again under the same `Idempotency-Key`.
//!
//! ## Layout
//! - `door`: [`Door`], the builder, and [`Shared`], what all routes share
//! - `authentication`: [`Authentication`], who may be believed to be whom
//! - `asker`: [`Asker`], who is asking, and reading as that
//! - `params`: [`Params`], the parameters of an address: the words that the command line has
//! - `problem`: [`Problem`], what went wrong (RFC 9457); `mapping`: which error is which
//! - `limits`: how much is taken on at a time, and from whom
//! - `openapi`: what there is, in OpenAPI 3.1, and a page to try it
//! - `operations`: for those who keep the program running: health, numbers of the process
//! - `schemas`: the schemas of what is written as text
//! - `serving`: [`serve`], a listener served with bounds; `silent`: connections that have not asked for anything yet;
//!   `paced`: clients that read too slowly
//! - `api`: the routes for programs
//! - `standing`: what stands before each route; `trace`: a span and a count for each request
//! - `live`: Server-Sent Events, and JSON-RPC over WebSocket
//! - `page`: HTML for people

mod api;
mod asker;
mod authentication;
mod door;
mod limits;
mod live;
mod mapping;
mod openapi;
mod operations;
mod paced;
mod page;
mod params;
mod problem;
mod schemas;
mod serving;
mod silent;
mod standing;
mod trace;

pub use asker::Asker;
pub use authentication::{Authentication, KeyError, Keys};
pub use door::{Door, Shared, router};
pub use params::{At, Nothing, Params};
pub use problem::Problem;
pub use serving::serve;
