//! Stored events, and verification of the log.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_max;
use crate::events::{Ref, Stored};
use crate::http::jobs::Job;
use crate::http::{AppState, Caller, NoParams, Problem, QueryParams};
use crate::store::{CheckReport, is_full};
use crate::text::hex;

/// The default and the maximum size of a page.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// The name of the job: one check runs at a time.
pub(in crate::http) const CHECK: &str = "check";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(check, last_check))
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct EventsParams {
    /// Start at this position; with `aggregate`, at this sequence
    #[param(minimum = 1)]
    from: Option<u64>,
    /// Only events of this aggregate: a reference like project:7
    aggregate: Option<Ref>,
    /// Maximum number of events, up to 1,000 [default: 100]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of stored events.
#[derive(Debug, Serialize, ToSchema)]
struct EventsPage {
    /// The events, in order.
    events: Vec<StoredEvent>,
    /// The `from` of the next page, if there may be more events.
    next: Option<u64>,
}

/// An event as stored.
#[derive(Debug, Serialize, ToSchema)]
struct StoredEvent {
    position: u64,
    event_id: Uuid,
    aggregate: Ref,
    sequence: u64,
    event_type: String,
    event_version: String,
    /// The stored payload, byte for byte.
    #[schema(value_type = Value)]
    payload: Box<RawValue>,
    /// The stored metadata: actor, principal, correlation, causation, origin; byte for byte.
    #[schema(value_type = Value)]
    metadata: Box<RawValue>,
    command_id: Uuid,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    /// SHA-256 of what the writer appended, in hexadecimal digits.
    digest: String,
}

impl StoredEvent {
    fn new(stored: Stored) -> Result<Self, Problem> {
        Ok(Self {
            position: stored.position,
            event_id: stored.event_id,
            aggregate: stored.aggregate,
            sequence: stored.sequence,
            event_type: stored.event_type,
            event_version: stored.event_version,
            payload: json(stored.payload)?,
            metadata: json(stored.metadata)?,
            command_id: stored.command_id,
            occurred_at: stored.occurred_at,
            recorded_at: stored.recorded_at,
            digest: hex(&stored.digest),
        })
    }
}

/// Returns stored JSON unchanged. Text that is not JSON, which a check reports, becomes a JSON string.
fn json(text: String) -> Result<Box<RawValue>, Problem> {
    match serde_json::from_str(&text) {
        Ok(json) => Ok(json),
        Err(_) => serde_json::value::to_raw_value(&text).map_err(|error| Problem::internal(&error)),
    }
}

/// List stored events
///
/// A page ends early when its events have a megabyte: one event may be larger. `next` is set unless it is the last page.
#[utoipa::path(
    get, path = "/events", operation_id = "list_events", tag = "log", params(EventsParams),
    responses((status = OK, body = EventsPage, description = "The events, and where the next page starts"))
)]
async fn events(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(params, ..): QueryParams<EventsParams>,
) -> Result<Json<EventsPage>, Problem> {
    let limit = params.limit.unwrap_or(DEFAULT_LIMIT);
    if limit == 0 || limit > MAX_LIMIT {
        return Err(Problem::malformed("`limit` must be from 1 to 1000").with("parameter", "limit"));
    }
    if params.from == Some(0) {
        return Err(Problem::malformed("`from` must be at least 1").with("parameter", "from"));
    }
    check_max("from", params.from, i64::MAX as u64)?;
    let after = params.from.unwrap_or(1).saturating_sub(1);
    let annals = state.annals();
    let (events, next) = match (&params.aggregate, caller.reader()?) {
        (Some(aggregate), reader) => {
            let events = match reader {
                Some(reader) => reader.history(aggregate, after, limit).await?,
                None => annals.history(aggregate, after, limit).await?,
            };
            let next = events.last().map(|last| last.sequence + 1);
            (events, next)
        }
        (None, reader) => {
            let page = match reader {
                Some(reader) => reader.events(after, limit).await?,
                None => annals.events(after, limit).await?,
            };
            let next = page.events.last().map(|last| last.position + 1);
            (page.events, next)
        }
    };
    let next = next.filter(|_| events.len() == limit || is_full(&events));
    Ok(Json(EventsPage { events: events.into_iter().map(StoredEvent::new).collect::<Result<_, _>>()?, next }))
}

/// Verify the log
///
/// Verifies positions, ids, times, sequences and digests of all events, and that this program can read them; command rows;
/// triggers, constraints, functions and rights in the database; checkpoints of projections and snapshots of aggregates.
/// Keep the report's `digest` elsewhere and compare it later. One check runs at a time: a request during a check returns
/// that check. A short check responds with its result; for a long one, GET returns the progress.
#[utoipa::path(
    post, path = "/check", operation_id = "check_log", tag = "log",
    responses(
        (status = OK, body = Job<CheckReport>, description = "The check has ended"),
        (status = ACCEPTED, body = Job<CheckReport>, description = "The check is running"),
    )
)]
async fn check(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<(StatusCode, Json<Job<CheckReport>>), Problem> {
    caller.operate("check", None).await?;
    let job = start_check(&state).await?;
    Ok((if job.done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(job)))
}

/// Starts a check unless one is running.
pub(in crate::http) async fn start_check(state: &AppState) -> Result<Job<CheckReport>, Problem> {
    let annals = state.annals().clone();
    let job = state.checks().begin(CHECK, |reporter| {
        Ok(async move { Ok(annals.check(|position, head| reporter.report(position, head)).await?) })
    });
    job.await
}

/// Get the progress or the result of the last check
#[utoipa::path(
    get, path = "/check", operation_id = "last_check", tag = "log",
    responses((status = OK, body = Job<CheckReport>, description = "The check"), (status = NOT_FOUND, description = "No check was started yet"))
)]
async fn last_check(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Job<CheckReport>>, Problem> {
    caller.operate("check", None).await?;
    let none = || Problem::not_found("no check since the server started: start one with POST /check");
    state.checks().last(CHECK).map(Json).ok_or_else(none)
}
