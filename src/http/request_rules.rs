//! Rules for all requests: headers that may occur once, preconditions, and [`Methods`], which answers HEAD and OPTIONS.
//!
//! A HEAD request has no effect, so it must not be recorded as a read. An unrecorded response would still reveal something of
//! the log: whether a document exists, or how long an answer is. So HEAD is accepted only where no caller is needed; all other
//! routes answer 405.

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use super::Problem;

/// Headers that have one meaning: with two of them, a proxy and this server could each use another one.
static SINGLE: [HeaderName; 8] = [
    header::HOST,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ORIGIN,
    HeaderName::from_static("annals-actor"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("sec-fetch-site"),
];

/// Refuses a request with two headers where one is allowed.
pub(super) fn check_single_headers(headers: &HeaderMap) -> Result<(), Problem> {
    // Usually no header is repeated, and then there are as many values as names.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    match SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        None => Ok(()),
        Some(name) => {
            let detail = format!("the header `{name}` occurs more than once: send one");
            Err(Problem::malformed(detail).with("header", name.as_str()))
        }
    }
}

/// Refuses a request whose precondition (RFC 9110, 13.1) is not met. No response has an entity tag, so that `If-Match` with a
/// tag never is. Without this check, a command would be executed although its caller made it depend on a state.
pub(super) fn check_preconditions(parts: &Parts) -> Result<(), Problem> {
    if parts.extensions.get::<MatchedPath>().is_none() {
        return Ok(());
    }
    let any = |name: &HeaderName, is: fn(&HeaderValue) -> bool| parts.headers.get_all(name).iter().any(is);
    let failed = if any(&header::IF_MATCH, |value| value != "*") {
        "If-Match"
    } else if !parts.method.is_safe() && any(&header::IF_NONE_MATCH, |value| value == "*") {
        "If-None-Match"
    } else {
        return Ok(());
    };
    let detail = format!("responses have no entity tags: send the request without `{failed}`; it had no effect");
    let title = "precondition failed";
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", title, detail).with("header", failed))
}

/// The methods of each route.
#[derive(Clone)]
pub(super) struct Methods {
    /// The same routes without middleware. A request with a method that they do not accept returns the accepted ones.
    routes: Router,
    accepts_head: bool,
}

impl Methods {
    pub fn new(routes: Router, accepts_head: bool) -> Self {
        let routes = routes.method_not_allowed_fallback(async || StatusCode::METHOD_NOT_ALLOWED);
        Self { routes, accepts_head }
    }

    /// Whether a request with this method reaches its route.
    pub fn accept(&self, method: &Method) -> bool {
        self.accepts_head || method != Method::HEAD
    }

    /// The response to a method that the route does not accept: the accepted ones for OPTIONS, else 405.
    pub fn refuse(self, request: Request) -> impl Future<Output = Response> + Send + 'static {
        // A request cannot be held across an await: its body is not `Sync`.
        let (uri, method) = (request.uri().clone(), request.method().clone());
        async move {
            let Some(allowed) = self.allowed(uri.clone()).await else { return not_found(&uri).into_response() };
            if method == Method::OPTIONS {
                return (StatusCode::NO_CONTENT, [(header::ALLOW, allowed)]).into_response();
            }
            let detail = format!("{} does not accept {method}", uri.path());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
                .header(header::ALLOW, allowed)
                .into_response()
        }
    }

    /// The methods that the route accepts; none if there is no route.
    async fn allowed(self, uri: Uri) -> Option<HeaderValue> {
        let mut probe = Request::new(Body::empty());
        *probe.method_mut() = Method::OPTIONS;
        *probe.uri_mut() = uri;
        let Ok(response) = self.routes.oneshot(probe).await;
        let methods = response.headers().get(header::ALLOW)?.to_str().ok()?;
        let methods = methods.split(',').map(str::trim).filter(|method| self.accepts_head || *method != "HEAD");
        HeaderValue::try_from(methods.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")).ok()
    }
}

/// The response to a path without a route.
pub(super) fn not_found(uri: &Uri) -> Problem {
    Problem::not_found(format!("no route matches {}: see /openapi.json", uri.path()))
}
