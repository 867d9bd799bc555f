//! A span and a count for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use super::Shared;
use super::asker::{client_of, path_of, trace_of};

/// A request, followed to the beginning of its answer. What it does is a child of its span: the command, and by that the
/// append.
pub(super) struct Observed {
    began: Instant,
    method: Method,
    matched: Option<MatchedPath>,
    span: Span,
}

impl Observed {
    pub(super) fn begin(shared: &Shared, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let span = span_of(shared.name(), request, route(matched.as_ref()));
        Self { began: Instant::now(), method: request.method().clone(), matched, span }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// It is answered: the rest is the answer's.
    pub(super) fn end(self, shared: &Shared, status: StatusCode) {
        let Self { began, method, matched, span } = self;
        span.record("status", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
        tracing::debug!(parent: &span, elapsed = ?began.elapsed(), "answered");
        shared.traffic().answered(method.as_str(), route(matched.as_ref()), status.as_u16(), began.elapsed());
    }
}

/// What no route matches is no label: there would be no end to them.
fn route(matched: Option<&MatchedPath>) -> &str {
    matched.map_or("none", MatchedPath::as_str)
}

/// The request's span says by whom it was answered, from where and for what it came, and, at the end, the status.
fn span_of(server: &str, request: &Request, route: &str) -> Span {
    let method = request.method().as_str();
    let trace = request.headers().get("traceparent").and_then(|value| trace_of(value.to_str().ok()?));
    let span = tracing::info_span!(
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        server,
        client = client_of(request.extensions()).map(tracing::field::display),
        method,
        path = path_of(request.extensions(), request.uri()),
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
