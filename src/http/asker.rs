//! [`Asker`]: who is asking, and reading as that.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use axum::http::{Extensions, HeaderMap, Uri, header, request::Parts};
use tokio::time::Instant;

use super::{Problem, Shared};
use crate::app::{Annals, Reader};
use crate::commands::Context;
use crate::events::{Origin, Ref};
use crate::projections::JsonView;
use crate::projections::audit::AuditQuery;
use crate::projections::metrics::MetricQuery;

/// The longest path that is recorded, in characters.
const LONGEST_PATH: usize = 500;

/// The longest name of a format that is recorded, in bytes, of which a header's characters have one each.
const LONGEST_FORMAT: usize = 40;

/// Who is asking, from where and for what. Every route that is not open to anybody has one.
///
/// What it reads it reads as that actor: denied where the application denies it, recorded where that records reads.
#[derive(Clone, Debug)]
pub struct Asker {
    annals: Annals,
    who: Who,
    known_until: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Who {
    /// What is recorded of a command or read is made once, and shared.
    Known(Context),
    Unknown {
        host: Option<String>,
        correlation: Option<String>,
    },
}

impl Asker {
    pub(super) fn new(shared: &Shared, parts: &Parts, actor: Option<Ref>, known_until: Option<Instant>) -> Self {
        let host = client_of(&parts.extensions).map(|client| client.to_string());
        let correlation = parts.headers.get("traceparent").and_then(|value| trace_of(value.to_str().ok()?));
        let who = match actor {
            None => Who::Unknown { host, correlation },
            Some(actor) => {
                let path = path_of(&parts.extensions, &parts.uri);
                let context = Context::by(actor).origin(Origin {
                    host,
                    method: Some(parts.method.as_str().to_owned()),
                    path: Some(path.to_owned()),
                    format: format_of(&parts.headers),
                });
                Who::Known(match correlation {
                    Some(trace) => context.correlation(trace),
                    None => context,
                })
            }
        };
        Self { annals: shared.annals().clone(), who, known_until }
    }

    /// Who it is, if that is known.
    #[must_use]
    pub fn actor(&self) -> Option<&Ref> {
        match &self.who {
            Who::Known(context) => Some(context.actor()),
            Who::Unknown { .. } => None,
        }
    }

    /// When its token expires: what stays open ends then.
    pub(super) fn known_until(&self) -> Option<Instant> {
        self.known_until
    }

    /// By what its requests are counted: who it is, or the address where that is not known.
    pub(super) fn key(&self) -> &str {
        match &self.who {
            Who::Known(context) => context.actor().as_str(),
            Who::Unknown { host, .. } => host.as_deref().unwrap_or_default(),
        }
    }

    /// The W3C trace that the request belongs to.
    #[must_use]
    pub fn correlation(&self) -> Option<&str> {
        match &self.who {
            Who::Known(context) => context.metadata().correlation.as_deref(),
            Who::Unknown { correlation, .. } => correlation.as_deref(),
        }
    }

    /// In which form the answer goes out, where the request did not say: `csv`, `event-stream`.
    #[must_use]
    pub fn format(mut self, format: &str) -> Self {
        if let Who::Known(context) = &mut self.who {
            let origin = context.metadata().origin.clone().unwrap_or_default();
            *context = context.clone().origin(Origin { format: Some(format.to_owned()), ..origin });
        }
        self
    }

    /// What is recorded of a command or read: who, from where, for what.
    ///
    /// # Errors
    /// 401 when it is not known who asks.
    pub fn context(&self) -> Result<Context, Problem> {
        match &self.who {
            Who::Known(context) => Ok(context.clone()),
            Who::Unknown { .. } => {
                Err(Problem::unauthenticated("say who you are: give the header `Annals-Actor: user:alice`"))
            }
        }
    }

    /// Reading as who asks; none where nobody says who it is, and it does not matter.
    ///
    /// # Errors
    /// 401 when it is not known who asks, and it matters.
    pub fn reader(&self) -> Result<Option<Reader>, Problem> {
        match self.actor() {
            None if !self.annals.reads_need_actor() => Ok(None),
            _ => Ok(Some(self.annals.read_as(&self.context()?))),
        }
    }

    /// The audit log, as who asks reads it.
    ///
    /// # Errors
    /// 401 when it is not known who asks, and it matters. That it is denied says the query, when it is run.
    pub fn audit(&self) -> Result<AuditQuery, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.audit(),
            None => self.annals.audit(),
        })
    }

    /// The numbers of a topic, as who asks reads them.
    ///
    /// # Errors
    /// 401 as above; 403 when it is denied.
    pub async fn metric(&self, topic: &str) -> Result<MetricQuery, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.metric(topic).await?,
            None => self.annals.metric(topic),
        })
    }

    /// Whether who asks may look after the projections (one, or all), or verify the log.
    ///
    /// # Errors
    /// 401 as above; 403 when it is denied.
    pub async fn operate(&self, operation: &str, projection: Option<&str>) -> Result<(), Problem> {
        match self.reader()? {
            Some(reader) => Ok(reader.operate(operation, projection).await?),
            None => Ok(()),
        }
    }

    /// A view, as who asks reads it: to read the document under `key`, or if there is none, all.
    ///
    /// # Errors
    /// 401 as above; 403 when it is denied; 404 when there is no such view.
    pub async fn view(&self, name: &str, key: Option<&str>) -> Result<JsonView, Problem> {
        Ok(match self.reader()? {
            Some(reader) => reader.json_view(name, key).await?,
            None => self.annals.json_view(name)?,
        })
    }
}

impl FromRequestParts<Shared> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let missing =
            || Problem::internal(&std::io::Error::other("a route without authentication wants to know who asks"));
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The address that a request came from.
pub(super) fn client_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip())
}

/// The path that was asked for, also where the router is mounted below it; of a long one, the beginning.
pub(super) fn path_of<'a>(extensions: &'a Extensions, uri: &'a Uri) -> &'a str {
    shortened(extensions.get::<OriginalUri>().map_or(uri.path(), |uri| uri.0.path()))
}

/// The beginning of a path, if it is long.
fn shortened(path: &str) -> &str {
    match path.len() > LONGEST_PATH {
        true => path.char_indices().nth(LONGEST_PATH).map_or(path, |(end, _)| &path[..end]),
        false => path,
    }
}

/// `json` of `application/json; charset=utf-8`.
fn format_of(headers: &HeaderMap) -> Option<String> {
    let content = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let subtype = content.split(';').next()?.trim().rsplit_once('/')?.1;
    Some(subtype.get(..LONGEST_FORMAT).unwrap_or(subtype).to_owned())
}

/// The trace id of a W3C `traceparent`, if it is one.
pub(super) fn trace_of(traceparent: &str) -> Option<String> {
    let parts: Vec<&str> = traceparent.trim().split('-').collect();
    let [version, trace, parent, flags, ..] = parts[..] else { return None };
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let whole = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    // The first version has no more parts, and `ff` is none.
    let known = version != "ff" && (version != "00" || parts.len() == 4);
    let named = trace.bytes().any(|b| b != b'0') && parent.bytes().any(|b| b != b'0');
    (whole && known && named).then(|| trace.to_owned())
}
