//! The log as it lies there, and verifying it.

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

use super::at_most;
use super::jobs::Job;
use crate::events::{Ref, Stored};
use crate::http::{Asker, Nothing, Params, Problem, Shared};
use crate::store::CheckReport;
use crate::text::hex;

/// How many events a page has when nothing is said, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// There is one check at a time.
pub(in crate::http) const CHECK: &str = "check";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(check, last_check))
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Asked {
    /// Only from this position on; of an aggregate, from this sequence on
    #[param(minimum = 1)]
    from: Option<u64>,
    /// Only those of this aggregate: a reference like project:7
    aggregate: Option<Ref>,
    /// At most so many: 1,000 at most [default: 100]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Events as they lie in the log.
#[derive(Debug, Serialize, ToSchema)]
struct Events {
    /// The events, in order.
    events: Vec<Row>,
    /// Where the next page begins (`from`), if there may be more.
    next: Option<u64>,
}

/// An event as it lies in the log.
#[derive(Debug, Serialize, ToSchema)]
struct Row {
    position: u64,
    event_id: Uuid,
    aggregate: Ref,
    sequence: u64,
    event_type: String,
    event_version: String,
    /// What is stored, byte for byte.
    #[schema(value_type = Value)]
    payload: Box<RawValue>,
    /// Who, for whom, why, from where: byte for byte.
    #[schema(value_type = Value)]
    metadata: Box<RawValue>,
    command_id: Uuid,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    /// SHA-256 of what the writer gave, in hexadecimal digits.
    digest: String,
}

impl Row {
    fn of(stored: Stored) -> Result<Self, Problem> {
        Ok(Self {
            position: stored.position,
            event_id: stored.event_id,
            aggregate: stored.aggregate,
            sequence: stored.sequence,
            event_type: stored.event_type,
            event_version: stored.event_version,
            payload: raw(stored.payload)?,
            metadata: raw(stored.metadata)?,
            command_id: stored.command_id,
            occurred_at: stored.occurred_at,
            recorded_at: stored.recorded_at,
            digest: hex(&stored.digest),
        })
    }
}

/// What is not JSON (which a check would report) is shown as text.
fn raw(text: String) -> Result<Box<RawValue>, Problem> {
    match serde_json::from_str(&text) {
        Ok(raw) => Ok(raw),
        Err(_) => serde_json::value::to_raw_value(&text).map_err(|error| Problem::internal(&error)),
    }
}

/// The events as they lie in the log
#[utoipa::path(get, path = "/events", tag = "log", params(Asked), responses((status = OK, body = Events)))]
async fn events(
    State(shared): State<Shared>,
    asker: Asker,
    Params(asked, ..): Params<Asked>,
) -> Result<Json<Events>, Problem> {
    let limit = asked.limit.unwrap_or(USUAL);
    if limit == 0 || limit > MOST {
        return Err(Problem::malformed("`limit` is from 1 to 1000").with("parameter", "limit"));
    }
    if asked.from == Some(0) {
        return Err(Problem::malformed("`from` is 1 at least").with("parameter", "from"));
    }
    at_most("from", asked.from, i64::MAX as u64)?;
    let after = asked.from.unwrap_or(1).saturating_sub(1);
    let annals = shared.annals();
    let (events, next) = match (&asked.aggregate, asker.reader()?) {
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
    let next = next.filter(|_| events.len() == limit);
    Ok(Json(Events { events: events.into_iter().map(Row::of).collect::<Result<_, _>>()?, next }))
}

/// Verify the log
///
/// Positions, ids, times, sequences and digests of all events, and that this program can read them; rows of commands;
/// triggers, constraints, functions and rights in the database; the checkpoints of projections and the snapshots of
/// aggregates. The report's `digest` is to be kept elsewhere and compared later. One check runs at a time: who asks while
/// one runs gets that one. A short log is checked when it is answered; else GET says how far it is.
#[utoipa::path(
    post, path = "/check", tag = "log",
    responses(
        (status = OK, body = Job<CheckReport>, description = "It is done"),
        (status = ACCEPTED, body = Job<CheckReport>, description = "It is under way"),
    )
)]
async fn check(
    State(shared): State<Shared>,
    asker: Asker,
    _: Params<Nothing>,
) -> Result<(StatusCode, Json<Job<CheckReport>>), Problem> {
    asker.operate("check", None).await?;
    let job = checking(&shared).await?;
    Ok((if job.done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(job)))
}

/// Begins to verify the log, unless that is under way.
pub(in crate::http) async fn checking(shared: &Shared) -> Result<Job<CheckReport>, Problem> {
    let annals = shared.annals().clone();
    let job = shared
        .checks()
        .begin(CHECK, |at| Ok(async move { Ok(annals.check(|position, head| at.is(position, head)).await?) }));
    job.await
}

/// How far the last check is, or what it found
#[utoipa::path(
    get, path = "/check", tag = "log",
    responses((status = OK, body = Job<CheckReport>), (status = NOT_FOUND, description = "Nothing was checked yet"))
)]
async fn last_check(
    State(shared): State<Shared>,
    asker: Asker,
    _: Params<Nothing>,
) -> Result<Json<Job<CheckReport>>, Problem> {
    asker.operate("check", None).await?;
    let none = || Problem::not_found("nothing was checked yet, since this program was started: POST /check");
    shared.checks().last(CHECK).map(Json).ok_or_else(none)
}
