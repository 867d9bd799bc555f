//! [`RequestObservation`]: the span and the metrics of a request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use super::caller::{client_of, path_of, trace_of};
use super::state::AppState;

/// The observation of a request until its response begins. Its span is the parent of the command's and the append's.
pub(super) struct RequestObservation {
    started: Instant,
    method: Method,
    matched: Option<MatchedPath>,
    span: Span,
}

impl RequestObservation {
    pub(super) fn begin(state: &AppState, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>().cloned();
        let span = span_of(&state.settings().name, request, route(matched.as_ref()));
        Self { started: Instant::now(), method: request.method().clone(), matched, span }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Records the status and the duration.
    pub(super) fn end(self, state: &AppState, status: StatusCode) {
        let Self { started, method, matched, span } = self;
        span.record("status", status.as_u16());
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
        }
        tracing::debug!(parent: &span, elapsed = ?started.elapsed(), "responded");
        state.metrics().responded(method.as_str(), route(matched.as_ref()), status.as_u16(), started.elapsed());
    }
}

/// The matched route, as a label. An unmatched path is no label: clients can send any number of them.
fn route(matched: Option<&MatchedPath>) -> &str {
    matched.map_or("none", MatchedPath::as_str)
}

/// The span of a request: server, client, route, actor and, at the end, the status.
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
        set_parent(&span, request.headers());
    }
    span
}

/// Makes the span a child of the trace that the request names, for OpenTelemetry.
#[cfg(feature = "telemetry")]
fn set_parent(span: &tracing::Span, headers: &axum::http::HeaderMap) {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry_http::HeaderExtractor;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    let parent = opentelemetry::Context::new();
    let parent = TraceContextPropagator::new().extract_with_context(&parent, &HeaderExtractor(headers));
    // An error means that no OpenTelemetry layer is installed.
    let _ = span.set_parent(parent);
}
