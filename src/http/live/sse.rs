//! Server-Sent Events.
//!
//! Events are `row` and `metric`, each with a cursor as its id, and `end`. Comments keep a quiet line from being taken
//! for a dead one.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::{Asked, Asker, Asking, Closing, Cursor, Ending, Live, Pace, Problem, Reason, Step, Steps};
use crate::http::limits::Place;
use crate::http::operations::Follower as Counted;
use crate::http::{At, Params};
use crate::projections::RangeBound;
use crate::projections::presenter::Words;

/// What comes first: after how many milliseconds a browser that lost its connection comes back.
const BEGIN: &str = "retry: 2000\n\n";

/// What a quiet line says.
const HEARTBEAT: &str = ":\n\n";

/// Where to go on.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    /// The id of the last event that came.
    after: Option<Cursor>,
}

/// The window of a metric.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Window {
    from: Option<RangeBound>,
    until: Option<RangeBound>,
}

/// Rows of the audit log: stored, then live.
pub(super) async fn audit(
    State(live): State<Arc<Live>>,
    Extension(asker): Extension<Asker>,
    closing: Closing,
    headers: HeaderMap,
    Params(mut asked, After { after }, words): Params<Asked, After, Words>,
) -> Result<Response, Problem> {
    asked.cursor = last_event_id(&headers)?.or(after).or(asked.cursor);
    let room = live.open.take(&asker)?;
    let steps = live.audit(&asker.format("event-stream"), &asked, words, closing).await?;
    Ok(events(steps, &live, room))
}

/// The numbers of a topic: as they are, then each change.
pub(super) async fn metrics(
    State(live): State<Arc<Live>>,
    Extension(asker): Extension<Asker>,
    closing: Closing,
    headers: HeaderMap,
    At(topic): At<String>,
    Params(window, After { after }, _): Params<Window, After>,
) -> Result<Response, Problem> {
    let cursor = last_event_id(&headers)?.or(after);
    let asking = Asking { topic, from: window.from, until: window.until };
    let room = live.open.take(&asker)?;
    let steps = live.metric(&asker.format("event-stream"), asking, cursor, closing).await?;
    Ok(events(steps, &live, room))
}

/// The same, of all there is.
pub(super) async fn all_metrics(
    live: State<Arc<Live>>,
    asker: Extension<Asker>,
    closing: Closing,
    headers: HeaderMap,
    params: Params<Window, After>,
) -> Result<Response, Problem> {
    metrics(live, asker, closing, headers, At(String::new()), params).await
}

/// What a browser says when it comes back, whatever the address says.
fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) else { return Ok(None) };
    let id = id.to_str().unwrap_or_default();
    Ok(Some(id.parse::<Cursor>().map_err(Problem::from)?))
}

fn events(steps: Steps, live: &Live, room: Place) -> Response {
    let counted = live.shared.traffic().follower("sse");
    let line = Line { steps, pace: live.pace, last: None, given: None, _counted: (counted, room) };
    let body = Body::from_stream(stream::unfold(Some(line), Line::next));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    ];
    // Proxies in front hand on each event at once.
    let through = [("x-accel-buffering", HeaderValue::from_static("no"))];
    (headers, through, body).into_response()
}

struct Line {
    steps: Steps,
    pace: Pace,
    last: Option<Cursor>,
    /// When something was given that the client had to take.
    given: Option<Instant>,
    _counted: (Counted, Place),
}

impl Line {
    /// What is written next. It is asked for when there is room, so that what waits for a slow client is bounded.
    async fn next(line: Option<Self>) -> Option<(Result<Bytes, Infallible>, Option<Self>)> {
        let mut line = line?;
        let text = match line.given {
            None => BEGIN.to_owned(),
            Some(given) if given.elapsed() > line.pace.patience => {
                return Some((Ok(end(&Ending::new(Reason::Slow, line.last)).into()), None));
            }
            Some(_) => match timeout(line.pace.heartbeat, line.steps.next()).await {
                Err(_) => HEARTBEAT.to_owned(),
                Ok(None) => return None,
                Ok(Some(Step::End(ending))) => return Some((Ok(end(&ending).into()), None)),
                Ok(Some(Step::Metric(metric, cursor))) => {
                    line.last = cursor.or(line.last);
                    event("metric", cursor, &json(&*metric))
                }
                Ok(Some(Step::Rows(rows))) => {
                    let mut text = String::new();
                    for (cursor, row) in rows.texts() {
                        line.last = Some(cursor);
                        write(&mut text, "row", Some(cursor), row);
                    }
                    text
                }
            },
        };
        line.given = Some(Instant::now());
        Some((Ok(text.into()), Some(line)))
    }
}

/// The last event. Its id is where to go on, so that a browser that comes back does.
fn end(ending: &Ending) -> String {
    event("end", ending.cursor, &json(ending))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written as JSON");
        "null".to_owned()
    })
}

fn event(name: &str, cursor: Option<Cursor>, data: &str) -> String {
    let mut text = String::new();
    write(&mut text, name, cursor, data);
    text
}

/// One event. Payloads are as they were stored, perhaps over several lines: each has to say that it is data.
fn write(text: &mut String, name: &str, cursor: Option<Cursor>, data: &str) {
    // To write to a text does not fail.
    if let Some(cursor) = cursor {
        let _ = writeln!(text, "id: {cursor}");
    }
    let _ = writeln!(text, "event: {name}");
    for line in data.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
}
