//! [`Asking`]: somebody who asks for a page of the feed; [`Ordering`]: somebody who has pressed a button at a projection.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::address::Address;
use super::site::Site;
use crate::http::api::read;
use crate::http::{Asker, Problem, Shared};

/// Somebody who asks for a page, and what for.
pub(super) struct Asking {
    pub site: Site,
    pub asker: Asker,
    pub shared: Shared,
    pub headers: HeaderMap,
    pub address: Address,
}

impl FromRequestParts<Shared> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let asker = Asker::from_request_parts(parts, shared).await?;
        let Ok(site) = Site::from_request_parts(parts, shared).await;
        let address = Address::parse(parts.uri.query());
        Ok(Self { site, asker, shared: shared.clone(), headers: parts.headers.clone(), address })
    }
}

/// Somebody who wants something done about a projection: the form says which.
pub(super) struct Ordering {
    pub site: Site,
    pub shared: Shared,
    pub name: String,
    asker: Asker,
}

impl Ordering {
    /// An error if who asks may not do this.
    pub async fn may(&self, operation: &str) -> Result<(), Problem> {
        self.asker.operate(operation, Some(&self.name)).await
    }
}

impl FromRequest<Shared> for Ordering {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Asking { site, asker, shared, .. } = Asking::from_request_parts(&mut parts, shared).await?;
        let form = read(body, shared.largest_body()).await?;
        let form = Address::parse(std::str::from_utf8(&form).ok());
        let none = || Problem::malformed("which projection? `name` says it");
        let name = form.get("name").map(str::to_owned).ok_or_else(none)?;
        Ok(Self { site, shared, name, asker })
    }
}
