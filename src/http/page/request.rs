//! [`PageRequest`]: a request for a page. [`FormRequest`]: a form that was submitted.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::accepts_page;
use super::address::Address;
use super::site::Site;
use crate::http::body::read;
use crate::http::{AppState, Caller, Problem};

/// A request for a page.
pub(super) struct PageRequest {
    pub site: Site,
    pub caller: Caller,
    pub state: AppState,
    pub headers: HeaderMap,
    pub address: Address,
}

impl PageRequest {
    /// Whether the client accepts HTML.
    pub fn wants_page(&self) -> bool {
        accepts_page(&self.headers)
    }
}

impl FromRequestParts<AppState> for PageRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let Ok(site) = Site::from_request_parts(parts, state).await;
        let address = Address::parse(parts.uri.query());
        Ok(Self { site, caller, state: state.clone(), headers: parts.headers.clone(), address })
    }
}

/// A form that was submitted.
pub(super) struct FormRequest {
    pub site: Site,
    pub state: AppState,
    pub caller: Caller,
    pub fields: Address,
}

impl FormRequest {
    /// The value of a field that the form must have.
    pub fn needed(&self, field: &str) -> Result<&str, Problem> {
        self.fields.get(field).ok_or_else(|| Problem::malformed(format!("the form field `{field}` is missing")))
    }
}

impl FromRequest<AppState> for FormRequest {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let PageRequest { site, caller, state, .. } = PageRequest::from_request_parts(&mut parts, state).await?;
        let form = read(body, state.settings().limits.largest_body).await?;
        let fields = Address::parse(std::str::from_utf8(&form).ok());
        Ok(Self { site, state, caller, fields })
    }
}
