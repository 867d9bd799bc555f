//! Reactions: their status, the steps that they have to do, skipping one, and replaying one that was refused.

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_max;
use crate::events::Ref;
use crate::http::body::read_json;
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::reactions::{PendingCursor, PendingPage, PendingQuery, ReactionStatus, Replay, projection_name};
use crate::store::Receipt;

/// The maximum size of a page.
const MAX_LIMIT: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(pending)).routes(routes!(skip)).routes(routes!(replay))
}

/// List the status of all reactions
///
/// The steps of a reaction are executed by the process that runs the projection `reaction_NAME`: its lag, resuming and rebuilding it are
/// those of that projection. What fails and is tried again is known to that process only.
#[utoipa::path(
    get, path = "/reactions", operation_id = "list_reactions", tag = "reactions",
    responses((status = OK, body = Vec<ReactionStatus>, description = "The reactions"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<ReactionStatus>>, Problem> {
    caller.operate("status", None).await?;
    Ok(Json(state.annals().reactions().await?))
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct PendingParams {
    /// Only steps that follow from events of this aggregate: a reference like order:7
    aggregate: Option<Ref>,
    /// Only timers
    timers: Option<bool>,
    /// The `next` of an earlier page
    #[param(value_type = Option<String>, pattern = "^-?[0-9]{1,19}_[0-9]{1,18}_[0-9]{1,18}$")]
    cursor: Option<Cursor>,
    /// Maximum number of steps, up to 1,000 [default: 100]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Cursor(PendingCursor);

impl TryFrom<String> for Cursor {
    type Error = crate::projections::QueryError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// List the steps of a reaction that are to be done
///
/// In the order in which they are due. A step is a command at once, or a timer. The values of its command are not shown: they follow from
/// the event at its position.
#[utoipa::path(
    get, path = "/reactions/{name}/pending", operation_id = "list_pending_steps", tag = "reactions", params(("name" = String, Path), PendingParams),
    responses((status = OK, body = PendingPage, description = "The steps"), (status = NOT_FOUND, description = "The reaction does not exist"))
)]
async fn pending(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    QueryParams(params, ..): QueryParams<PendingParams>,
) -> Result<Json<PendingPage>, Problem> {
    caller.operate("status", Some(&projection_name(&name))).await?;
    if params.limit == Some(0) {
        return Err(Problem::malformed("`limit` must be at least 1").with("parameter", "limit"));
    }
    check_max("limit", params.limit, MAX_LIMIT)?;
    let query = PendingQuery {
        aggregate: params.aggregate,
        timers: params.timers.unwrap_or_default(),
        cursor: params.cursor.map(|cursor| cursor.0),
        limit: params.limit,
    };
    Ok(Json(state.annals().pending_page(&name, &query).await?))
}

/// A step that is to be skipped or replayed.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StepAndReason {
    /// The id of the step.
    step: Uuid,
    /// The reason, of at most 1,000 bytes, which stays in the log.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// Skip a step of a reaction
///
/// Its command is not executed. Either the step takes effect or the skip, never both. The skip is an event in the log, with the actor and
/// the reason.
#[utoipa::path(
    post, path = "/reactions/{name}/skip", operation_id = "skip_step", tag = "reactions", params(("name" = String, Path)),
    request_body = StepAndReason,
    responses(
        (status = OK, body = Receipt, description = "The step is skipped"),
        (status = NOT_FOUND, description = "The reaction does not exist, or the step is not pending"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = CONFLICT, description = "The step was done or skipped meanwhile"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
    )
)]
async fn skip(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    caller.operate("skip_step", Some(&projection_name(&name))).await?;
    let context = caller.context()?;
    let StepAndReason { step, why } = read_json(&state, request).await?;
    Ok(Json(state.annals().skip_step(&name, step, &why, &context).await?))
}

/// Replay a step of a reaction
///
/// Executes a step after all that was refused or skipped. The step is the command id of the event `annals_reaction.refused` or
/// `annals_reaction.skipped`. Its command is decided on what the log has now, by the reaction on behalf of the caller. It may be refused
/// again: then it can be replayed once more.
#[utoipa::path(
    post, path = "/reactions/{name}/replay", operation_id = "replay_step", tag = "reactions", params(("name" = String, Path)),
    request_body = StepAndReason,
    responses(
        (status = OK, body = Replay, description = "The step was executed, or refused again"),
        (status = NOT_FOUND, description = "The reaction does not exist, or the step was neither refused nor skipped"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = CONFLICT, description = "The step was replayed meanwhile, or the reaction no longer leads to it"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
    )
)]
async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Replay>, Problem> {
    caller.operate("replay_step", Some(&projection_name(&name))).await?;
    let context = caller.context()?;
    let StepAndReason { step, why } = read_json(&state, request).await?;
    Ok(Json(state.annals().replay_step(&name, step, &why, &context).await?))
}
