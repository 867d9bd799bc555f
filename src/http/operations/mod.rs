//! For those who keep the program running: health, numbers of the process.
//!
//! ## Layout
//! - `numbers`: the process's own numbers, for Prometheus
//! - `traffic`: [`Traffic`], requests and followers, counted

mod numbers;
mod traffic;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

pub(super) use self::traffic::{Follower, Traffic};

use super::{Problem, Shared};

/// How long the store may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/metrics", get(numbers::numbers))
}

/// What anybody gets: it says nothing of the log.
pub(super) fn open_routes() -> Router<Shared> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready))
}

/// The process answers.
async fn alive() -> &'static str {
    "ok\n"
}

/// Commands can be executed: the store answers, and takes writes.
async fn ready(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    if !shared.annals().is_open() {
        return Err(Problem::unavailable("the store is closed: no command is executed any more"));
    }
    match tokio::time::timeout(PATIENCE, shared.annals().store().ready()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("the store cannot be used now; why is in the program's log"))
        }
        Err(_) => Err(Problem::unavailable("the store does not answer")),
    }
}
