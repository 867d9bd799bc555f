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
    let span = tracing::info_span!(
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        method,
        route,
        trace,
        actor = Empty,
        status = Empty
    );
    #[cfg(feature = "telemetry")]
    if trace.is_some() {
        go_on(&span, request.headers());
    }
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("status", status);
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    tracing::debug!(parent: &span, elapsed = ?began.elapsed(), "answered");
    shared.traffic().answered(&method, &route, status, began.elapsed());
    response
}

/// To who is told of spans, this one goes on with the trace that the request names.
#[cfg(feature = "telemetry")]
fn go_on(span: &tracing::Span, headers: &axum::http::HeaderMap) {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry_http::HeaderExtractor;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let parent = opentelemetry::Context::new();
    let parent = TraceContextPropagator::new().extract_with_context(&parent, &HeaderExtractor(headers));
    // An error says that nobody is told.
    let _ = span.set_parent(parent);
}
