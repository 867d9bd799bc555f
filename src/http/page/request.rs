//! [`PageRequest`]: a request for a page of the feed. [`ProjectionAction`]: a submitted form for a projection.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::accepts_page;
use super::address::Address;
use super::site::Site;
use crate::http::body::read;
use crate::http::{AppState, Caller, Problem};

/// A request for a page of the feed.
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

/// A form that was submitted for a projection, which it names.
pub(super) struct ProjectionAction {
    pub site: Site,
    pub state: AppState,
    pub name: String,
    caller: Caller,
}

impl ProjectionAction {
    /// Returns an error if the caller may not do this.
    pub async fn authorise(&self, operation: &str) -> Result<(), Problem> {
        self.caller.operate(operation, Some(&self.name)).await
    }
}

impl FromRequest<AppState> for ProjectionAction {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let PageRequest { site, caller, state, .. } = PageRequest::from_request_parts(&mut parts, state).await?;
        let form = read(body, state.settings().limits.largest_body).await?;
        let form = Address::parse(std::str::from_utf8(&form).ok());
        let missing = || Problem::malformed("the form field `name` is missing");
        let name = form.get("name").map(str::to_owned).ok_or_else(missing)?;
        Ok(Self { site, state, name, caller })
    }
}
