//! Status, rebuild, resume, skip and replay of projections.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Annals;
use crate::http::jobs::Job;
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::projections::{DeadLetter, Progress, ProjectionStatus, Rebuild, Selection, SkipPolicy};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one))
        .routes(routes!(rebuild, cancel))
        .routes(routes!(resume))
        .routes(routes!(skip))
        .routes(routes!(dead_letters))
        .routes(routes!(replay))
}

/// The status of a projection, and its last rebuild.
#[derive(Debug, Serialize, ToSchema)]
struct ProjectionInfo {
    #[serde(flatten)]
    status: ProjectionStatus,
    /// The last rebuild that a request to this process started, if there was one.
    last_rebuild: Option<Job<Progress>>,
}

/// List the status of all projections
#[utoipa::path(
    get, path = "/projections", operation_id = "list_projections", tag = "projections",
    responses((status = OK, body = Vec<ProjectionInfo>, description = "The projections"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<ProjectionInfo>>, Problem> {
    caller.operate("status", None).await?;
    let all = state.annals().projections().await?;
    Ok(Json(all.into_iter().map(|status| info(&state, status)).collect()))
}

/// Get the status of a projection
#[utoipa::path(
    get, path = "/projections/{name}", operation_id = "get_projection", tag = "projections", params(("name" = String, Path)),
    responses((status = OK, body = ProjectionInfo, description = "The projection"), (status = NOT_FOUND, description = "The projection does not exist"))
)]
async fn one(request: ProjectionRequest) -> Result<Json<ProjectionInfo>, Problem> {
    let annals = request.authorise("status").await?;
    // The error for an unknown name lists the known ones.
    annals.reading(&request.name)?;
    let status = annals.projections().await?.into_iter().find(|status| status.name == request.name);
    let status = status.ok_or_else(|| Problem::not_found("the projection does not exist"))?;
    Ok(Json(info(&request.state, status)))
}

fn info(state: &AppState, status: ProjectionStatus) -> ProjectionInfo {
    let last_rebuild = state.rebuilds().last(&status.name);
    ProjectionInfo { status, last_rebuild }
}

/// The options of a rebuild.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::http) struct RebuildParams {
    /// Skipped events: refuse (do not rebuild), keep (skip them again), replay (apply them)
    #[param(inline)]
    skips: Option<SkipsParam>,
    /// Rebuild only this key of a view
    key: Option<String>,
    /// Rebuild only the keys that events of this aggregate type affect
    aggregate_type: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SkipsParam {
    Refuse,
    Keep,
    Replay,
}

/// Rebuild a projection
///
/// Reads use the old data until the new data is complete. A short rebuild responds with its result; for a long one, GET on
/// the projection returns the progress. A request during a rebuild returns that rebuild.
#[utoipa::path(
    post, path = "/projections/{name}/rebuild", operation_id = "rebuild_projection", tag = "projections", params(("name" = String, Path), RebuildParams),
    responses(
        (status = OK, body = Job<Progress>, description = "The rebuild has ended"),
        (status = ACCEPTED, body = Job<Progress>, description = "The rebuild is running"),
        (status = NOT_FOUND, description = "The projection does not exist"),
        (status = CONFLICT, description = "Events were skipped, or another process rebuilds it"),
    )
)]
async fn rebuild(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    QueryParams(params, ..): QueryParams<RebuildParams>,
) -> Result<(StatusCode, Json<Job<Progress>>), Problem> {
    caller.operate("rebuild", Some(&name)).await?;
    let job = start_rebuild(&state, &name, &params).await?;
    Ok((if job.done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(job)))
}

/// Starts a rebuild unless one is running.
pub(in crate::http) async fn start_rebuild(
    state: &AppState,
    name: &str,
    params: &RebuildParams,
) -> Result<Job<Progress>, Problem> {
    state.annals().reading(name)?;
    let job = state.rebuilds().begin(name, |reporter| {
        let mut rebuild = rebuild_of(state, name, params)?;
        let mut progress = rebuild.progress();
        Ok(async move {
            let end = loop {
                tokio::select! {
                    end = &mut rebuild => break end?,
                    Ok(()) = progress.changed() => {
                        let current = *progress.borrow_and_update();
                        reporter.report(current.position, current.head);
                    }
                }
            };
            reporter.report(end.position, end.head);
            Ok(end)
        })
    });
    job.await
}

fn rebuild_of(state: &AppState, name: &str, params: &RebuildParams) -> Result<Rebuild, Problem> {
    let annals = state.annals();
    let skips = match params.skips {
        None | Some(SkipsParam::Refuse) => SkipPolicy::Refuse,
        Some(SkipsParam::Keep) => SkipPolicy::Keep,
        Some(SkipsParam::Replay) => SkipPolicy::Replay,
    };
    Ok(match (&params.key, &params.aggregate_type, params.skips) {
        (None, None, _) => annals.rebuild_with(name, skips)?,
        (Some(key), None, None) => annals.rebuild_keys(name, Selection::Key(key.clone()))?,
        (None, Some(kind), None) => annals.rebuild_keys(name, Selection::Aggregate(kind.clone()))?,
        _ => return Err(Problem::malformed("use only one of `key`, `aggregate_type` and `skips`")),
    })
}

/// A request for one projection, without query parameters.
struct ProjectionRequest {
    state: AppState,
    name: String,
    caller: Caller,
}

impl FromRequestParts<AppState> for ProjectionRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let PathParams(name) = PathParams::from_request_parts(parts, state).await?;
        let _: QueryParams<NoParams> = QueryParams::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), name, caller })
    }
}

impl ProjectionRequest {
    /// Authorises an operation, and returns the application.
    async fn authorise(&self, operation: &str) -> Result<&Annals, Problem> {
        self.caller.operate(operation, Some(&self.name)).await?;
        Ok(self.state.annals())
    }
}

/// Cancel a rebuild that a request to this process started
///
/// Reads still use the old data. The next rebuild resumes from this one.
#[utoipa::path(
    delete, path = "/projections/{name}/rebuild", operation_id = "cancel_rebuild", tag = "projections", params(("name" = String, Path)),
    responses((status = NO_CONTENT, description = "The rebuild has stopped"), (status = NOT_FOUND, description = "No rebuild is running"))
)]
async fn cancel(request: ProjectionRequest) -> Result<StatusCode, Problem> {
    request.authorise("rebuild").await?;
    match request.state.rebuilds().stop(&request.name).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("no rebuild of this projection that was started here is running")),
    }
}

/// Resume a stopped projection
#[utoipa::path(
    post, path = "/projections/{name}/resume", operation_id = "resume_projection", tag = "projections", params(("name" = String, Path)),
    responses((status = NO_CONTENT, description = "It tries the event again"), (status = NOT_FOUND, description = "The projection does not exist"))
)]
async fn resume(request: ProjectionRequest) -> Result<StatusCode, Problem> {
    let annals = request.authorise("resume").await?;
    annals.resume(&request.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Skip the event that a projection has stopped at
#[utoipa::path(
    post, path = "/projections/{name}/skip", operation_id = "skip_event", tag = "projections", params(("name" = String, Path)),
    responses(
        (status = OK, body = Vec<DeadLetter>, description = "The new dead letters"),
        (status = NOT_FOUND, description = "The projection does not exist"),
        (status = CONFLICT, description = "It has not stopped at an event"),
    )
)]
async fn skip(request: ProjectionRequest) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let annals = request.authorise("skip").await?;
    Ok(Json(annals.skip(&request.name).await?))
}

/// List the dead letters of a projection: skipped events, and events that wait behind them
///
/// Lists the first 1,000. The status of the projection has the number of all.
#[utoipa::path(
    get, path = "/projections/{name}/dead-letters", operation_id = "list_dead_letters", tag = "projections", params(("name" = String, Path)),
    responses((status = OK, body = Vec<DeadLetter>, description = "The dead letters"), (status = NOT_FOUND, description = "The projection does not exist"))
)]
async fn dead_letters(request: ProjectionRequest) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let annals = request.authorise("dead_letters").await?;
    Ok(Json(annals.dead_letters(&request.name).await?))
}

/// The result of a replay.
#[derive(Debug, Serialize, ToSchema)]
struct Replayed {
    /// The number of applied events.
    events: u64,
}

/// Replay the dead letters of a projection
#[utoipa::path(
    post, path = "/projections/{name}/replay", operation_id = "replay_dead_letters", tag = "projections", params(("name" = String, Path)),
    responses(
        (status = OK, body = Replayed, description = "All dead letters are applied"),
        (status = NOT_FOUND, description = "The projection does not exist"),
        (status = CONFLICT, description = "An event still fails, or the projection has advanced meanwhile"),
    )
)]
async fn replay(request: ProjectionRequest) -> Result<Json<Replayed>, Problem> {
    let annals = request.authorise("replay").await?;
    let (annals, name) = (annals.clone(), request.name.clone());
    // A task, so that a disconnect does not cancel it.
    let replaying = tokio::spawn(async move { annals.replay(&name).await });
    let events = replaying.await.map_err(|error| Problem::internal(&error))??;
    Ok(Json(Replayed { events }))
}
