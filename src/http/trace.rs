//! A span and a count for each request.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use tower::{Service, service_fn};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::Shared;
use super::asker::trace_of;

/// Follows requests to the beginning of their answers. What one does is a child of its span: the command, and by that the
/// append.
pub(super) fn traced<S>(
    shared: Shared,
    mut inner: S,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync
where
    S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync,
{
    service_fn(move |request: Request| {
        let began = Instant::now();
        let method = request.method().clone();
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let span = span_of(&request, route(matched.as_ref()));
        let answering = span.in_scope(|| inner.call(request)).instrument(span.clone());
        let shared = shared.clone();
        async move {
            let response = answering.await?.into_response();
            let status = response.status().as_u16();
            span.record("status", status);
            if response.status().is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
            tracing::debug!(parent: &span, elapsed = ?began.elapsed(), "answered");
            shared.traffic().answered(method.as_str(), route(matched.as_ref()), status, began.elapsed());
            Ok(response)
        }
    })
}

/// What no route matches is no label: there would be no end to them.
fn route(matched: Option<&MatchedPath>) -> &str {
    matched.map_or("none", MatchedPath::as_str)
}

fn span_of(request: &Request, route: &str) -> Span {
    let method = request.method().as_str();
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
    span
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
