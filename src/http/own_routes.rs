//! Routes of the application: what they share with the others.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::{StatusCode, header, request::Parts};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};

use super::{Caller, Problem};
use crate::commands::Context;

/// The longest error in plain text, in bytes. A longer one is cut off.
const MAX_TEXT: usize = 16 * 1_024;

/// Limits the bodies of these routes, and answers their errors in plain text as problems.
pub(super) fn prepared(own: Router, largest_body: usize) -> Router {
    own.layer(map_response(as_problem)).layer(DefaultBodyLimit::max(largest_body))
}

/// Makes an error in plain text, such as axum's when a body does not parse, a [`Problem`].
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !(status.is_client_error() || status.is_server_error()) || !kind.starts_with("text/plain") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, MAX_TEXT).await.unwrap_or_default();
    let problem = Problem::for_status(parts.status, String::from_utf8_lossy(&text));
    let mut response = problem.into_response();
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

impl Problem {
    /// A problem with the type that belongs to this status.
    fn for_status(status: StatusCode, detail: impl Into<String>) -> Self {
        let (kind, title) = match status {
            StatusCode::BAD_REQUEST => ("malformed", "malformed request"),
            StatusCode::UNAUTHORIZED => ("unauthenticated", "authentication required"),
            StatusCode::FORBIDDEN => ("denied", "access denied"),
            StatusCode::NOT_FOUND => ("not-found", "not found"),
            StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "method not allowed"),
            StatusCode::CONFLICT => ("conflict", "conflict with the current state"),
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "request body too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("media-type", "unsupported media type"),
            StatusCode::UNPROCESSABLE_ENTITY => ("unprocessable", "unprocessable request"),
            StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "temporarily unavailable"),
            status if status.is_client_error() => ("request", "the request failed"),
            _ => ("internal", "internal error"),
        };
        Self::new(status, kind, title, detail)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || {
            Problem::internal(&std::io::Error::other(
                "a route without authentication extracts its caller: add the route by `RouterBuilder::with`",
            ))
        };
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The context of the request's caller, for commands and reads: its actor, its origin, and the trace as correlation. 401 if the
/// caller is anonymous.
impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, state).await?.context()
    }
}
