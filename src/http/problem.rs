//! [`Problem`]: an error response (RFC 9457).

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::text::error_chain;

/// An error response: `application/problem+json` (RFC 9457). Programs read `type`, `urn:annals:` and a word; people read
/// `title`, and `detail` with the cause and what to do.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(flatten)]
    // Boxed, since every result of a route has room for a problem.
    members: Box<Map<String, Value>>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// Returns a problem of type `urn:annals:<kind>`.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:annals:{kind}").into();
        Self { kind, title, status, detail: detail.into(), members: Box::default(), headers: Vec::new() }
    }

    /// 400: the request is malformed.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "malformed request", detail)
    }

    /// 401: the caller is not authenticated.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "authentication required", detail)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 401: the token is not accepted. The challenge says why (RFC 6750, 3).
    pub(super) fn invalid_token(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{detail}\"");
        let mut problem = Self::unauthenticated(detail);
        // A test checks that every reason is allowed in a header.
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            problem.headers = vec![(header::WWW_AUTHENTICATE, challenge)];
        }
        problem
    }

    /// The response headers.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.headers.iter().cloned()
    }

    /// 403: the caller is not allowed to do this.
    pub fn denied(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "denied", "access denied", detail)
    }

    /// 404: it does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    /// 503: it is not available now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "temporarily unavailable", detail)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// 500: the program failed. The cause is logged, not sent to the client.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %error_chain(error), "a request failed");
        let detail = "the server logged the cause";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error", detail)
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The title: a short summary of the type.
    #[must_use]
    pub fn title(&self) -> &str {
        self.title
    }

    /// The detail: the cause, and what to do.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.extend(self.headers());
        response.extensions_mut().insert(self);
        response
    }
}
