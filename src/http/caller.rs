//! [`Caller`]: the authenticated caller of a request, through which routes read.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, OriginalUri, Request};
use axum::http::{Extensions, HeaderMap, Uri, header, request::Parts};
#[cfg(feature = "access")]
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Problem;
#[cfg(feature = "access")]
use super::authentication::rejection;
use super::authentication::{Identity, Rejection, TokenValidity};
use super::request_rules::check_preconditions;
use super::state::AppState;
use crate::app::{Annals, Ask, Reader};
use crate::commands::Context;
use crate::events::{Origin, Ref};
use crate::projections::audit::AuditQuery;
use crate::projections::metrics::MetricQuery;
use crate::projections::{FollowRight, JsonView};
#[cfg(feature = "access")]
use crate::tokens::NEEDS_RIGHTS;

/// The longest recorded path, in characters.
const MAX_PATH: usize = 500;

/// The longest recorded format, in bytes. A header value has one byte a character.
const MAX_FORMAT: usize = 40;

/// The authenticated caller of a request: who, from where and for what. It is an extractor of every route behind authentication,
/// whatever the route's state: those of annals, and those that an application adds by [`RouterBuilder::with`].
///
/// [`RouterBuilder::with`]: super::RouterBuilder::with
#[derive(Clone, Debug)]
pub struct Caller {
    pub(super) annals: Annals,
    identity: CallerIdentity,
    token: Option<Arc<TokenValidity>>,
}

#[derive(Clone, Debug)]
enum CallerIdentity {
    /// An actor. The context is made once and shared by all commands and reads of the request.
    Known(Context),
    /// A caller on this machine that names no actor.
    Anonymous { host: Option<String> },
}

/// Authenticates a request, which is followed live or not. Returns its caller, and the request with the caller as an extension.
pub(super) fn authenticate(
    state: &AppState,
    request: Request,
    observes: bool,
) -> Result<(Caller, Request), Problem> {
    let (mut parts, body) = request.into_parts();
    check_path(&parts)?;
    let settings = state.settings();
    // Only the authoriser and routes of the application look at claims.
    let with_claims = settings.with_claims || state.annals().has_authoriser();
    let identity = settings.authentication.identify(&parts, observes, with_claims);
    let identity = identity.map_err(|rejection| rejected(state, &parts, rejection))?;
    let Identity { actor, token, claims, .. } = identity;
    if let Some(actor) = &actor {
        actor.check_caller().map_err(|error| Problem::malformed(error.to_string()))?;
        tracing::Span::current().record("actor", actor.as_str());
    }
    let mut caller = Caller::new(state, &parts, actor, token);
    if let (Some(claims), CallerIdentity::Known(context)) = (claims, &mut caller.identity) {
        *context = context.clone().token_claims(claims);
    }
    #[cfg(feature = "access")]
    if let (Some(presented), CallerIdentity::Known(context)) = (identity.presented, &mut caller.identity) {
        if !state.annals().has_rights() {
            return Err(Problem::invalid_token(NEEDS_RIGHTS));
        }
        *context = context.clone().access_token(presented);
    }
    check_preconditions(&parts)?;
    parts.extensions.insert(caller.clone());
    Ok((caller, Request::from_parts(parts, body)))
}

/// The problem of a request that is rejected. If a token correctly names its actor, the rejection is recorded as a denial.
fn rejected(state: &AppState, parts: &Parts, rejection: Rejection) -> Problem {
    let Rejection { problem, actor } = rejection;
    if let Some(actor) = actor.filter(|actor| actor.check_caller().is_ok()) {
        let caller = Caller::new(state, parts, Some(*actor), None);
        caller.denied(&format!("{} {}", parts.method, path_of(&parts.extensions, &parts.uri)), problem.detail());
    }
    problem
}

/// Refuses a path that no store accepts.
fn check_path(parts: &Parts) -> Result<(), Problem> {
    let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8();
    match path {
        Ok(path) if !path.contains('\0') => Ok(()),
        Ok(_) => Err(Problem::malformed("the path contains a NUL byte")),
        Err(_) => Err(Problem::malformed("the path is not UTF-8")),
    }
}

impl Caller {
    fn new(state: &AppState, parts: &Parts, actor: Option<Ref>, token: Option<Arc<TokenValidity>>) -> Self {
        let host = client_of(&parts.extensions).map(|client| client.to_string());
        let identity = match actor {
            None => CallerIdentity::Anonymous { host },
            Some(actor) => {
                let path = path_of(&parts.extensions, &parts.uri);
                let trace = parts.headers.get("traceparent").and_then(|value| trace_of(value.to_str().ok()?));
                let context = Context::by(actor).origin(Origin {
                    host,
                    method: Some(parts.method.as_str().to_owned()),
                    path: Some(path.to_owned()),
                    format: format_of(&parts.headers),
                });
                CallerIdentity::Known(match trace {
                    Some(trace) => context.correlation(trace),
                    None => context,
                })
            }
        };
        Self { annals: state.annals().clone(), identity, token }
    }

    /// Records that the caller was denied something, if the application records refusals.
    fn denied(&self, what: &str, reason: &str) {
        if let CallerIdentity::Known(context) = &self.identity {
            self.annals.record_denial(context, what, reason);
        }
    }

    /// The caller as for the request that a call on a connection replaces: an access token must allow that request too.
    ///
    /// # Errors
    /// 401 or 403 when it does not.
    pub(super) fn for_request(&self, method: &str, path: &str, observes: bool) -> Result<Cow<'_, Self>, Problem> {
        #[cfg(feature = "access")]
        if let CallerIdentity::Known(context) = &self.identity
            && let Some(presented) = context.presented_token()
        {
            let presented = presented.with_request(method, path, observes);
            if let Err(error) = presented.allows_for_some_target(Timestamp::now()) {
                let rejection = rejection(&error, None);
                self.denied(&format!("{method} {}", cut(path)), rejection.problem.detail());
                return Err(rejection.problem);
            }
            let identity = CallerIdentity::Known(context.clone().access_token(presented));
            return Ok(Cow::Owned(Self { identity, ..self.clone() }));
        }
        let _ = (method, path, observes);
        Ok(Cow::Borrowed(self))
    }

    /// The actor; `None` for an anonymous caller, which only a server that [trusts](super::Authentication::trusting) has.
    pub fn actor(&self) -> Option<&Ref> {
        match &self.identity {
            CallerIdentity::Known(context) => Some(context.actor()),
            CallerIdentity::Anonymous { .. } => None,
        }
    }

    /// The claims of the verified token; `None` without a token.
    pub fn claims(&self) -> Option<&Map<String, Value>> {
        match &self.identity {
            CallerIdentity::Known(context) => context.claims(),
            CallerIdentity::Anonymous { .. } => None,
        }
    }

    /// The token. Streams end when it is not accepted any more.
    pub(super) fn token(&self) -> Option<&Arc<TokenValidity>> {
        self.token.as_ref()
    }

    /// The key that limits count the caller by: its actor, or its address if it is anonymous.
    pub(super) fn key(&self) -> &str {
        match &self.identity {
            CallerIdentity::Known(context) => context.actor().as_str(),
            CallerIdentity::Anonymous { host } => host.as_deref().unwrap_or_default(),
        }
    }

    /// The address that the request came from.
    pub(super) fn host(&self) -> Option<&str> {
        match &self.identity {
            CallerIdentity::Known(context) => context.metadata().origin.as_ref()?.host.as_deref(),
            CallerIdentity::Anonymous { host } => host.as_deref(),
        }
    }

    /// Sets the recorded format, where the response's differs from the request's: `csv`, `event-stream`.
    pub(super) fn format(mut self, format: &str) -> Self {
        if let CallerIdentity::Known(context) = &mut self.identity {
            let origin = context.metadata().origin.clone().unwrap_or_default();
            *context = context.clone().origin(Origin { format: Some(format.to_owned()), ..origin });
        }
        self
    }

    /// Returns the context that commands and reads are recorded with: `annals.read_as(&caller.context()?)`.
    ///
    /// # Errors
    /// 401 if the caller is anonymous.
    pub fn context(&self) -> Result<Context, Problem> {
        match &self.identity {
            CallerIdentity::Known(context) => Ok(context.clone()),
            CallerIdentity::Anonymous { .. } => {
                Err(Problem::unauthenticated("an actor is required: send the header `Annals-Actor: user:alice`"))
            }
        }
    }

    /// Returns a reader for this actor; none if the caller is anonymous and the application allows that.
    ///
    /// # Errors
    /// 401 if the caller is anonymous, and the application authorises or records reads.
    pub(super) fn reader(&self) -> Result<Option<Reader>, Problem> {
        match self.actor() {
            None if !self.annals.reads_need_actor() => Ok(None),
            _ => Ok(Some(self.annals.read_as(&self.context()?))),
        }
    }

    /// Returns a query of the audit log. The query itself returns the error if the read is denied.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader).
    pub(super) fn audit(&self) -> Result<AuditQuery, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.audit(),
            None => self.annals.audit(),
        })
    }

    /// Returns a query of a topic's metric.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader); 403 if the read is denied.
    pub(super) async fn metric(&self, topic: &str) -> Result<MetricQuery, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.metric(topic).await?,
            None => self.annals.metric(topic),
        })
    }

    /// Returns a query of a topic's metric, which is followed live, and the right to follow it.
    ///
    /// # Errors
    /// As for [`metric`](Self::metric).
    pub(super) async fn follow_metric(&self, topic: &str) -> Result<(MetricQuery, FollowRight), Problem> {
        let right = match self.reader()? {
            Some(reader) => reader.follow_metric(topic).await?,
            None => FollowRight::unlimited(),
        };
        Ok((self.annals.metric(topic), right))
    }

    /// Authorises an operation: on one projection, on all of them, or on the log.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader); 403 if the operation is denied.
    pub(super) async fn operate(&self, operation: &str, projection: Option<&str>) -> Result<(), Problem> {
        match self.reader()? {
            Some(reader) => Ok(reader.operate(operation, projection).await?),
            None => Ok(()),
        }
    }

    /// Authorises a list of names: commands, event types, topics, views.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader); 403 if it is denied.
    pub(super) async fn catalogue(&self) -> Result<(), Problem> {
        match self.reader()? {
            Some(reader) => Ok(reader.catalogue().await?),
            None => Ok(()),
        }
    }

    /// Whether a page may offer names of the catalogue. A denial is not recorded: the caller did not ask for them.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader).
    pub(super) async fn may_read_catalogue(&self) -> Result<bool, Problem> {
        match self.reader()? {
            Some(reader) => Ok(reader.may(&Ask::Catalogue).await),
            None => Ok(true),
        }
    }

    /// Returns a view, to read the document under `key`, or all documents without a key.
    ///
    /// # Errors
    /// 401 as for [`reader`](Self::reader); 403 if the read is denied; 404 if the view does not exist.
    pub(super) async fn view(&self, name: &str, key: Option<&str>) -> Result<JsonView, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.json_view(name, key).await?,
            None => self.annals.json_view(name)?,
        })
    }
}

/// The address that a request came from.
pub(super) fn client_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip())
}

/// The requested path, with the part that the router is mounted at. A long path is cut.
pub(super) fn path_of<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a str {
    cut(whole_path_of(extensions, uri))
}

/// The requested path, with the part that the router is mounted at.
pub(super) fn whole_path_of<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a str {
    extensions.get::<OriginalUri>().map_or(uri.path(), |uri| uri.0.path())
}

/// The first [`MAX_PATH`] characters of a path.
fn cut(path: &str) -> &str {
    match path.len() > MAX_PATH {
        true => path.char_indices().nth(MAX_PATH).map_or(path, |(end, _)| &path[..end]),
        false => path,
    }
}

/// The subtype of `Content-Type`: `json` for `application/json; charset=utf-8`.
fn format_of(headers: &HeaderMap) -> Option<String> {
    let content = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let subtype = content.split(';').next()?.trim().rsplit_once('/')?.1;
    Some(subtype.get(..MAX_FORMAT).unwrap_or(subtype).to_owned())
}

/// The trace id of a W3C `traceparent`; none if the header is invalid.
pub(super) fn trace_of(traceparent: &str) -> Option<String> {
    let parts: Vec<&str> = traceparent.trim().split('-').collect();
    let [version, trace, parent, flags, ..] = parts[..] else { return None };
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let well_formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    // Version `00` has exactly four parts; `ff` is invalid.
    let known_version = version != "ff" && (version != "00" || parts.len() == 4);
    let nonzero = trace.bytes().any(|b| b != b'0') && parent.bytes().any(|b| b != b'0');
    (well_formed && known_version && nonzero).then(|| trace.to_owned())
}
