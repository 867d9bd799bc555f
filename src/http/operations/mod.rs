//! Health checks and Prometheus metrics, for operators.
//!
//! ## Layout
//! - `prometheus`: the metrics of the process

mod prometheus;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::{AppState, Problem};

/// How long the store may take to report that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/metrics", get(prometheus::metrics))
}

/// The routes without authentication. They reveal nothing of the log.
pub(super) fn open_routes() -> Router<AppState> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// The process responds.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Commands can be executed: the store responds, and accepts writes.
async fn readyz(State(state): State<AppState>) -> Result<&'static str, Problem> {
    if !state.annals().is_open() {
        return Err(Problem::unavailable("the store is closed: it executes no command"));
    }
    match tokio::time::timeout(READY_TIMEOUT, state.annals().store().ready()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("the store failed; the server logged the cause"))
        }
        Err(_) => Err(Problem::unavailable(format!("the store did not respond within {READY_TIMEOUT:?}"))),
    }
}
