//! Intakes: their status, pausing and resuming them, replaying dead letters.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::body::{cloud_event, read, read_json};
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::intakes::{IncomingMessage, IntakeStatus, Taken};
use crate::store::Receipt;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(replay))
        .routes(routes!(publish))
}

/// List the status of all intakes
///
/// One process of several receives. Why an intake receives nothing is noted by that process, and shown by all.
#[utoipa::path(
    get, path = "/intakes", operation_id = "list_intakes", tag = "intakes",
    responses((status = OK, body = Vec<IntakeStatus>, description = "The intakes"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<IntakeStatus>>, Problem> {
    caller.operate("status", None).await?;
    Ok(Json(state.annals().intakes().await?))
}

/// The reason of a decision about an intake.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonAboutIntake {
    /// The reason, of at most 1,000 bytes, which stays in the log.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// Pause an intake
///
/// It receives nothing until it is resumed. The pause is an event in the log, with the actor and the reason.
#[utoipa::path(
    post, path = "/intakes/{name}/pause", operation_id = "pause_intake", tag = "intakes", params(("name" = String, Path)),
    request_body = ReasonAboutIntake,
    responses(
        (status = OK, body = Receipt, description = "The intake is paused"),
        (status = NOT_FOUND, description = "The intake does not exist"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
    )
)]
async fn pause(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    caller.operate("pause_intake", Some(&format!("intake_{name}"))).await?;
    let context = caller.context()?;
    let ReasonAboutIntake { why } = read_json(&state, request).await?;
    Ok(Json(state.annals().pause_intake(&name, &why, &context).await?))
}

/// Resume an intake
///
/// One that is paused. The decision is an event in the log, with the actor and the reason.
#[utoipa::path(
    post, path = "/intakes/{name}/resume", operation_id = "resume_intake", tag = "intakes",
    params(("name" = String, Path)), request_body = ReasonAboutIntake,
    responses(
        (status = OK, body = Receipt, description = "The intake is resumed"),
        (status = NOT_FOUND, description = "The intake does not exist"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
    )
)]
async fn resume(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    caller.operate("resume_intake", Some(&format!("intake_{name}"))).await?;
    let context = caller.context()?;
    let ReasonAboutIntake { why } = read_json(&state, request).await?;
    Ok(Json(state.annals().resume_intake(&name, &why, &context).await?))
}

/// Replay a dead letter
///
/// The message is executed after all, once. Its command has the actor of the message; who replays it, and why, is an event in the same
/// commit.
#[utoipa::path(
    post, path = "/intakes/{name}/dead-letters/{position}/replay", operation_id = "replay_dead_letter", tag = "intakes",
    params(("name" = String, Path), ("position" = u64, Path, description = "Its position in the log")),
    request_body = ReasonAboutIntake,
    responses(
        (status = OK, body = Taken, description = "It was executed, or refused"),
        (status = NOT_FOUND, description = "The intake or the dead letter does not exist"),
        (status = CONFLICT, description = "It was replayed before, or still cannot be read"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
    )
)]
async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    PathParams((name, position)): PathParams<(String, u64)>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Taken>, Problem> {
    caller.operate("replay_dead_letter", Some(&format!("intake_{name}"))).await?;
    let context = caller.context()?;
    let ReasonAboutIntake { why } = read_json(&state, request).await?;
    Ok(Json(state.annals().replay_dead_letter(&name, position, &why, &context).await?))
}

/// Publish a message to an intake
///
/// A CloudEvent 1.0 in JSON, or in binary mode with its attributes in headers `ce-…`. It is answered when its outcome is in the log. The same
/// message again has no second effect and gets the first receipt.
#[utoipa::path(
    post, path = "/intakes/{name}/messages", operation_id = "publish_message", tag = "intakes",
    params(("name" = String, Path)), request_body(content = Object, content_type = "application/cloudevents+json"),
    responses(
        (status = OK, body = Taken, description = "Its command was executed, or refused"),
        (status = BAD_REQUEST, description = "It cannot be read"),
        (status = NOT_FOUND, description = "The intake does not exist, or takes no messages over HTTP"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as a CloudEvent in JSON"),
        (status = UNPROCESSABLE_ENTITY, description = "Another message has the same source and id"),
        (status = SERVICE_UNAVAILABLE, description = "The intake is paused"),
    )
)]
async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Taken>, Problem> {
    caller.operate("publish", Some(&format!("intake_{name}"))).await?;
    let context = caller.context()?;
    let largest = state.settings().limits.largest_body;
    let (headers, body) = cloud_event(request, largest)?;
    let body = read(body, largest).await?;
    let text = |value: &HeaderValue| value.to_str().ok().map(ToOwned::to_owned);
    let message = IncomingMessage {
        tag: 0,
        publisher: Some(context.actor().to_string()),
        content_type: headers.get(header::CONTENT_TYPE).and_then(text),
        headers: headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect(),
        body: body.to_vec(),
    };
    Ok(Json(state.annals().take_message(&name, &message, context.metadata().origin.clone()).await?))
}
