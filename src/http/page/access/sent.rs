//! [`SentForm`]: a form that was sent. Its command is executed as the caller.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use uuid::Uuid;

use super::fields::{Failed, form_id};
use super::grants::issued;
use super::place::{NAMES, Place, parsed};
use crate::access::{
    AccessError, AccessView, ApproveAccess, ConfirmAccess, DenyAccess, GrantAccess, IssuedToken, RequestAccess,
    RevokeAccess, RevokeToken, Right,
};
use crate::commands::Handle;
use crate::events::Ref;
use crate::http::body::read;
use crate::http::page::address::Address;
use crate::http::page::request::PageRequest;
use crate::http::page::respond;
use crate::http::page::site::ACCESS;
use crate::http::{AppState, Problem};
use crate::projections::DocumentView;
use crate::store::Receipt;

/// How long the page waits until the view has the change.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// A form that was sent.
pub(super) struct SentForm {
    request: PageRequest,
    /// Where it was on the lists.
    place: Place,
    fields: Address,
}

impl FromRequest<AppState> for SentForm {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let request = PageRequest::from_request_parts(&mut parts, state).await?;
        let form = read(body, state.settings().limits.largest_body).await?;
        let form = Address::parse(std::str::from_utf8(&form).ok());
        let place = NAMES.into_iter().filter_map(|name| Some((name, form.get(name)?)));
        let place = Place::of(&place.fold(Address::default(), |place, (name, value)| place.with(name, value)))?;
        let fields = NAMES.into_iter().fold(form, |fields, name| fields.without(name));
        Ok(Self { request, place, fields })
    }
}

pub(super) async fn request(form: SentForm) -> Result<Response, Problem> {
    let done = form.request().await;
    form.done("request", "requests", done).await
}

pub(super) async fn grant(form: SentForm) -> Result<Response, Problem> {
    let done = form.grant().await;
    form.done("grant", "grants", done).await
}

pub(super) async fn approve(form: SentForm) -> Result<Response, Problem> {
    let done = form.approve().await;
    form.done("approve", "requests", done).await
}

pub(super) async fn deny(form: SentForm) -> Result<Response, Problem> {
    let done = form.deny().await;
    form.done("deny", "requests", done).await
}

pub(super) async fn confirm(form: SentForm) -> Result<Response, Problem> {
    let done = form.confirm().await;
    form.done("confirm", "grants", done).await
}

pub(super) async fn revoke(form: SentForm) -> Result<Response, Problem> {
    let done = form.revoke().await;
    form.done("revoke", "grants", done).await
}

pub(super) async fn revoke_token(form: SentForm) -> Result<Response, Problem> {
    let done = form.revoke_token().await;
    form.done("revoke-token", "grants", done).await
}

/// Shows the token instead of a redirect: it is nowhere else.
pub(super) async fn token(form: SentForm) -> Result<Response, Problem> {
    match form.issue().await {
        Ok(IssuedToken { text, .. }) => Ok(issued(&form.request.site, &form.place, &text)),
        Err(problem) => form.again("token", problem).await,
    }
}

impl SentForm {
    async fn request(&self) -> Result<Receipt, Problem> {
        let grantee = self.request.caller.context()?.actor().clone();
        let mut command = RequestAccess::new(grantee, self.rights()?, self.why());
        command.until = self.until()?;
        self.execute(command).await
    }

    async fn grant(&self) -> Result<Receipt, Problem> {
        let mut command = GrantAccess::new(self.needed("grantee")?, self.rights()?, self.why());
        (command.until, command.delegable) = (self.until()?, self.delegable());
        self.execute(command).await
    }

    async fn approve(&self) -> Result<Receipt, Problem> {
        let command = ApproveAccess::new(self.needed("grantee")?, self.needed::<Uuid>("request")?, self.why());
        let mut command = command.only(self.rights()?);
        (command.until, command.delegable) = (self.until()?, self.delegable());
        self.execute(command).await
    }

    async fn deny(&self) -> Result<Receipt, Problem> {
        self.execute(DenyAccess::new(self.needed("grantee")?, self.needed("request")?, self.why())).await
    }

    async fn confirm(&self) -> Result<Receipt, Problem> {
        self.execute(ConfirmAccess::new(self.why())).await
    }

    async fn revoke(&self) -> Result<Receipt, Problem> {
        self.execute(RevokeAccess::new(self.needed("grantee")?, self.needed("grant")?, self.why())).await
    }

    async fn revoke_token(&self) -> Result<Receipt, Problem> {
        self.execute(RevokeToken::new(self.needed("grantee")?, self.needed::<String>("block")?, self.why())).await
    }

    async fn issue(&self) -> Result<IssuedToken, Problem> {
        let context = self.request.caller.context()?;
        let (grantee, grant): (Ref, Uuid) = (self.needed("grantee")?, self.needed("grant")?);
        let keys = self.request.state.settings().authentication.access_keys();
        let keys = keys.ok_or_else(|| Problem::not_found("access tokens are not accepted"))?;
        let (annals, until) = (self.request.state.annals(), self.until()?);
        Ok(annals.issue_token(keys, &grantee, grant, until, self.why(), &context).await?)
    }

    async fn execute(&self, command: impl Handle<Error = AccessError>) -> Result<Receipt, Problem> {
        let context = self.request.caller.context()?;
        Ok(self.request.state.annals().execute(command, &context).await?)
    }

    fn needed<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<T, Problem> {
        let missing = || Problem::malformed(format!("the form field `{name}` is missing"));
        parsed(&self.fields, name)?.ok_or_else(missing)
    }

    /// The command refuses an empty reason.
    fn why(&self) -> &str {
        self.fields.get("why").unwrap_or_default()
    }

    fn until(&self) -> Result<Option<Timestamp>, Problem> {
        parsed(&self.fields, "until")
    }

    fn delegable(&self) -> bool {
        self.fields.get("delegable").is_some()
    }

    /// The rights that are chosen, and those that are written.
    fn rights(&self) -> Result<Vec<Right>, Problem> {
        let given = self.fields.iter().filter(|(name, _)| ["right", "rights"].contains(name));
        let lines = given.flat_map(|(_, value)| value.lines()).map(str::trim).filter(|line| !line.is_empty());
        let parse = |line: &str| line.parse::<Right>().map_err(|error| Problem::malformed(error.to_string()));
        lines.map(parse).collect()
    }

    /// Redirects to the page, when its view has the change. If there is none, the page is shown again.
    async fn done(self, action: &str, list: &str, done: Result<Receipt, Problem>) -> Result<Response, Problem> {
        let receipt = match done {
            Ok(receipt) => receipt,
            Err(problem) => return self.again(action, problem).await,
        };
        // It is recorded. A view that is late shows it a little later.
        let view = self.request.state.annals().reading(AccessView::NAME)?;
        let _ = view.caught_up(receipt.head, Some(CATCH_UP_TIMEOUT)).await;
        let page = self.request.site.link(ACCESS, &self.place.address());
        Ok(Redirect::to(&format!("{page}#{list}")).into_response())
    }

    /// The page with the problem at the form, as it was filled in. Only a page: programs get the problem, as does a caller that may not
    /// read the page.
    async fn again(self, action: &str, problem: Problem) -> Result<Response, Problem> {
        if !self.request.wants_page() {
            return Err(problem);
        }
        let on = ["request", "grant", "block"].into_iter().find_map(|name| self.fields.get(name));
        let form = form_id(action, on.filter(|_| !["request", "grant", "confirm"].contains(&action)));
        let failed = Failed { form, fields: self.fields, reason: problem.detail().to_owned() };
        match super::page(&self.request, &self.place, Some(&failed)).await {
            Ok(page) => {
                let mut response = respond(page);
                *response.status_mut() = problem.status();
                response.headers_mut().extend(problem.headers());
                Ok(response)
            }
            Err(_) => Err(problem),
        }
    }
}
