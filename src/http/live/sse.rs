//! Server-Sent Events.
//!
//! The events are `row` and `metric`, each with a cursor as its id, and `end`. Comments are heartbeats.

use std::convert::Infallible;
use std::fmt::{Display, Write};
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::{
    AuditQueryParams, Caller, Cursor, EndReason, Live, LiveItem, LiveStream, MetricParams, Problem, StreamEnd,
    StreamLifetime, StreamTimeouts,
};
use crate::http::http_metrics::OpenStream;
use crate::http::limits::Permit;
use crate::http::{PathParams, QueryParams};
use crate::projections::RangeBound;
use crate::projections::presenter::PresentationParams;

/// The first bytes of a stream: a browser reconnects 2,000 ms after it lost the connection.
const RETRY: &str = "retry: 2000\n\n";

/// What a browser resumes from.
const LAST_EVENT_ID: &str = "last-event-id";

/// A comment.
const HEARTBEAT: &str = ":\n\n";

/// The id of the last event of a complete stream. A browser sends it when it reconnects: nothing is left to send.
const DONE: &str = "done";

/// Where to resume.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    /// The id of the last received event.
    after: Option<Cursor>,
}

/// The range of a metric.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Range {
    by_occurrence: bool,
    from: Option<RangeBound>,
    until: Option<RangeBound>,
}

/// Streams rows of the audit log: stored ones, then live ones.
pub(super) async fn audit(
    State(live): State<Arc<Live>>,
    Extension(caller): Extension<Caller>,
    lifetime: StreamLifetime,
    headers: HeaderMap,
    QueryParams(mut asked, After { after }, words): QueryParams<AuditQueryParams, After, PresentationParams>,
) -> Result<Response, Problem> {
    if is_complete(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    asked.cursor = last_event_id(&headers)?.or(after).or(asked.cursor);
    let permit = live.streams.acquire(caller.key())?;
    let items = live.audit(&caller.format("event-stream"), &asked, words, lifetime).await?;
    Ok(respond(items, &live, permit))
}

/// Streams the metric of a topic: its current value, then its changes.
pub(super) async fn metrics(
    State(live): State<Arc<Live>>,
    Extension(caller): Extension<Caller>,
    lifetime: StreamLifetime,
    headers: HeaderMap,
    PathParams(topic): PathParams<String>,
    QueryParams(range, After { after }, _): QueryParams<Range, After>,
) -> Result<Response, Problem> {
    if is_complete(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let cursor = last_event_id(&headers)?.or(after);
    let params = MetricParams { topic, by_occurrence: range.by_occurrence, from: range.from, until: range.until };
    let permit = live.streams.acquire(caller.key())?;
    let items = live.metric(&caller.format("event-stream"), params, cursor, lifetime).await?;
    Ok(respond(items, &live, permit))
}

/// Streams the metric of all events.
pub(super) async fn all_metrics(
    live: State<Arc<Live>>,
    caller: Extension<Caller>,
    lifetime: StreamLifetime,
    headers: HeaderMap,
    params: QueryParams<Range, After>,
) -> Result<Response, Problem> {
    metrics(live, caller, lifetime, headers, PathParams(String::new()), params).await
}

/// Whether a browser reconnects after the end of a complete stream. Status 204 stops it.
fn is_complete(headers: &HeaderMap) -> bool {
    headers.get(LAST_EVENT_ID).is_some_and(|id| id == DONE)
}

/// The cursor that a browser sends when it reconnects. It overrides the query string, which is the same again.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = id.to_str().unwrap_or_default();
    Ok(Some(id.parse::<Cursor>().map_err(Problem::from)?))
}

fn respond(items: LiveStream, live: &Live, permit: Permit) -> Response {
    let open = live.state.metrics().open_stream("sse");
    let events =
        EventStream { items, timeouts: live.timeouts(), last: None, last_write: None, _guards: (open, permit) };
    let body = Body::from_stream(stream::unfold(Some(events), EventStream::next));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    ];
    // Tells reverse proxies not to buffer.
    let unbuffered = [("x-accel-buffering", HeaderValue::from_static("no"))];
    (headers, unbuffered, body).into_response()
}

struct EventStream {
    items: LiveStream,
    timeouts: StreamTimeouts,
    last: Option<Cursor>,
    last_write: Option<Instant>,
    _guards: (OpenStream, Permit),
}

impl EventStream {
    /// Returns the next bytes. The server calls it when it can write more, so that memory for a slow client is bounded.
    async fn next(events: Option<Self>) -> Option<(Result<Bytes, Infallible>, Option<Self>)> {
        let mut events = events?;
        let text = match events.last_write {
            None => RETRY.to_owned(),
            Some(last_write) if last_write.elapsed() > events.timeouts.slow_client => {
                return Some((Ok(end(&StreamEnd::new(EndReason::Slow, events.last)).into()), None));
            }
            Some(_) => match timeout(events.timeouts.heartbeat, events.items.next()).await {
                Err(_) => HEARTBEAT.to_owned(),
                Ok(None) => return None,
                Ok(Some(LiveItem::End(reason))) => return Some((Ok(end(&reason).into()), None)),
                Ok(Some(LiveItem::Metric(metric, cursor))) => {
                    events.last = cursor.or(events.last);
                    event("metric", cursor, &json(&*metric))
                }
                Ok(Some(LiveItem::Rows(rows))) => {
                    let mut text = String::new();
                    for (cursor, row) in rows.json() {
                        events.last = Some(cursor);
                        write(&mut text, "row", Some(cursor), row);
                    }
                    text
                }
            },
        };
        events.last_write = Some(Instant::now());
        Some((Ok(text.into()), Some(events)))
    }
}

/// The last event. Its id is what a browser sends when it reconnects: the cursor to resume from, or [`DONE`].
fn end(end: &StreamEnd) -> String {
    let mut text = String::new();
    match (end.reason, end.cursor) {
        (EndReason::Done, _) => write(&mut text, "end", Some(DONE), &json(end)),
        (_, cursor) => write(&mut text, "end", cursor, &json(end)),
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot serialise a live event");
        "null".to_owned()
    })
}

fn event(name: &str, cursor: Option<Cursor>, data: &str) -> String {
    let mut text = String::new();
    write(&mut text, name, cursor, data);
    text
}

/// Writes one event. Payloads are written as stored, possibly with line breaks: each line gets its own `data:`.
fn write(text: &mut String, name: &str, id: Option<impl Display>, data: &str) {
    // Writing to a `String` does not fail.
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = writeln!(text, "event: {name}");
    for line in data.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
}
