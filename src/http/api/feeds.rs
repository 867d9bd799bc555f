//! Feeds: their status, pausing and resuming them.

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::feeds::FeedStatus;
use crate::http::body::read_json;
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::store::Receipt;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(pause)).routes(routes!(resume))
}

/// List the status of all feeds
///
/// One process of several sends. Why a feed does not send is noted by that process, and shown by all.
#[utoipa::path(
    get, path = "/feeds", operation_id = "list_feeds", tag = "feeds",
    responses((status = OK, body = Vec<FeedStatus>, description = "The feeds"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<FeedStatus>>, Problem> {
    caller.operate("status", None).await?;
    Ok(Json(state.annals().feeds().await?))
}

/// The reason of a pause.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseOfFeed {
    /// The reason, of at most 1,000 bytes, which stays in the log.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// Pause a feed
///
/// It sends nothing until it is resumed. The pause is an event in the log, with the actor and the reason.
#[utoipa::path(
    post, path = "/feeds/{name}/pause", operation_id = "pause_feed", tag = "feeds", params(("name" = String, Path)),
    request_body = PauseOfFeed,
    responses(
        (status = OK, body = Receipt, description = "The feed is paused"),
        (status = NOT_FOUND, description = "The feed does not exist"),
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
    caller.operate("pause_feed", Some(&format!("feed_{name}"))).await?;
    let context = caller.context()?;
    let PauseOfFeed { why } = read_json(&state, request).await?;
    Ok(Json(state.annals().pause_feed(&name, &why, &context).await?))
}

/// How a feed is resumed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResumeOfFeed {
    /// The position of the event with which it continues: what is before it is not sent, or sent again if it is an earlier one.
    #[schema(minimum = 1)]
    from: Option<u64>,
    /// The reason, of at most 1,000 bytes, which stays in the log.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// Resume a feed
///
/// One that is paused or has stopped. The decision is an event in the log, with the actor and the reason.
#[utoipa::path(
    post, path = "/feeds/{name}/resume", operation_id = "resume_feed", tag = "feeds", params(("name" = String, Path)),
    request_body = ResumeOfFeed,
    responses(
        (status = OK, body = Receipt, description = "The feed is resumed"),
        (status = NOT_FOUND, description = "The feed does not exist"),
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
    caller.operate("resume_feed", Some(&format!("feed_{name}"))).await?;
    let context = caller.context()?;
    let ResumeOfFeed { from, why } = read_json(&state, request).await?;
    Ok(Json(state.annals().resume_feed(&name, from, &why, &context).await?))
}
