//! A span and a count for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use tracing::field::Empty;

use super::Shared;
use super::asker::trace_of;

/// Follows a request to the beginning of its answer. What it does is a child of its span: the command, and by that the
/// append.
pub(super) async fn traced(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().as_str().to_owned();
    // What no route matches is no label: there would be no end to them.
    let route = request.extensions().get::<MatchedPath>().map_or("none", |route| route.as_str()).to_owned();
    let trace = request.headers().get("traceparent").and_then(|value| trace_of(value.to_str().ok()?));
    let span = tracing::info_span!("request", method, route, trace, actor = Empty, status = Empty);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    tracing::debug!(parent: &span, elapsed = ?began.elapsed(), "answered");
    shared.traffic().answered(&method, &route, status, began.elapsed());
    response
}
