//! Looking after projections.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::jobs::Job;
use crate::app::Annals;
use crate::http::{Asker, At, Nothing, Params, Problem, Shared};
use crate::projections::{DeadLetter, Progress, ProjectionStatus, Rebuild, Selection, SkipPolicy};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(one))
        .routes(routes!(rebuild, cancel))
        .routes(routes!(resume))
        .routes(routes!(skip))
        .routes(routes!(letters))
        .routes(routes!(replay))
}

/// How one projection stands, and the last rebuild that was begun here.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    #[serde(flatten)]
    status: ProjectionStatus,
    /// The last rebuild that was begun by a request to this process, if there was one.
    last_rebuild: Option<Job<Progress>>,
}

/// How far each projection is, and why it stopped if it did
#[utoipa::path(get, path = "/projections", tag = "projections", responses((status = OK, body = Vec<Standing>)))]
async fn all(
    State(shared): State<Shared>,
    asker: Asker,
    _: Params<Nothing>,
) -> Result<Json<Vec<Standing>>, Problem> {
    asker.operate("status", None).await?;
    let all = shared.annals().projections().await?;
    Ok(Json(all.into_iter().map(|status| standing(&shared, status)).collect()))
}

/// How far a projection is, and why it stopped if it did
#[utoipa::path(
    get, path = "/projections/{name}", tag = "projections", params(("name" = String, Path)),
    responses((status = OK, body = Standing), (status = NOT_FOUND, description = "There is no such projection"))
)]
async fn one(order: Order) -> Result<Json<Standing>, Problem> {
    let annals = order.may("status").await?;
    // An unknown name is an error that says which there are.
    annals.reading(&order.name)?;
    let status = annals.projections().await?.into_iter().find(|status| status.name == order.name);
    let status = status.ok_or_else(|| Problem::not_found("there is no such projection"))?;
    Ok(Json(standing(&order.shared, status)))
}

fn standing(shared: &Shared, status: ProjectionStatus) -> Standing {
    let last_rebuild = shared.rebuilds().last(&status.name);
    Standing { status, last_rebuild }
}

/// What a rebuild makes anew.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::http) struct Wanted {
    /// What becomes of events that were left out: refuse (it does not begin), keep (left out again), replay (applied)
    #[param(inline)]
    skips: Option<Left>,
    /// Only this key of a view
    key: Option<String>,
    /// Only the keys that the events of this type of aggregate touch
    aggregate_type: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Left {
    Refuse,
    Keep,
    Replay,
}

/// Make a projection anew
///
/// The old one is read until the new one is there. A short one is done when it is answered; else GET on the projection
/// says how far it is. Asked for while one runs, it is that one.
#[utoipa::path(
    post, path = "/projections/{name}/rebuild", tag = "projections", params(("name" = String, Path), Wanted),
    responses(
        (status = OK, body = Job<Progress>, description = "It is done"),
        (status = ACCEPTED, body = Job<Progress>, description = "It is under way"),
        (status = NOT_FOUND, description = "There is no such projection"),
        (status = CONFLICT, description = "Events were left out, or another process rebuilds it"),
    )
)]
async fn rebuild(
    State(shared): State<Shared>,
    asker: Asker,
    At(name): At<String>,
    Params(wanted, ..): Params<Wanted>,
) -> Result<(StatusCode, Json<Job<Progress>>), Problem> {
    asker.operate("rebuild", Some(&name)).await?;
    let job = rebuilding(&shared, &name, &wanted).await?;
    Ok((if job.done { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(job)))
}

/// Begins to make a projection anew, unless that is under way.
pub(in crate::http) async fn rebuilding(
    shared: &Shared,
    name: &str,
    wanted: &Wanted,
) -> Result<Job<Progress>, Problem> {
    shared.annals().reading(name)?;
    let job = shared.rebuilds().begin(name, |at| {
        let mut rebuild = begun(shared, name, wanted)?;
        let mut progress = rebuild.progress();
        Ok(async move {
            let done = loop {
                tokio::select! {
                    done = &mut rebuild => break done?,
                    Ok(()) = progress.changed() => {
                        let now = *progress.borrow_and_update();
                        at.is(now.position, now.head);
                    }
                }
            };
            at.is(done.position, done.head);
            Ok(done)
        })
    });
    job.await
}

fn begun(shared: &Shared, name: &str, wanted: &Wanted) -> Result<Rebuild, Problem> {
    let annals = shared.annals();
    let skips = match wanted.skips {
        None | Some(Left::Refuse) => SkipPolicy::Refuse,
        Some(Left::Keep) => SkipPolicy::Keep,
        Some(Left::Replay) => SkipPolicy::Replay,
    };
    Ok(match (&wanted.key, &wanted.aggregate_type, wanted.skips) {
        (None, None, _) => annals.rebuild_with(name, skips)?,
        (Some(key), None, None) => annals.rebuild_keys(name, Selection::Key(key.clone()))?,
        (None, Some(of), None) => annals.rebuild_keys(name, Selection::Aggregate(of.clone()))?,
        _ => return Err(Problem::malformed("give one of `key`, `aggregate_type` and `skips`")),
    })
}

/// Somebody who wants something done about one projection, and says no more than which.
struct Order {
    shared: Shared,
    name: String,
    asker: Asker,
}

impl FromRequestParts<Shared> for Order {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let asker = Asker::from_request_parts(parts, shared).await?;
        let At(name) = At::from_request_parts(parts, shared).await?;
        let _: Params<Nothing> = Params::from_request_parts(parts, shared).await?;
        Ok(Self { shared: shared.clone(), name, asker })
    }
}

impl Order {
    /// The application, if who asks may do this.
    async fn may(&self, operation: &str) -> Result<&Annals, Problem> {
        self.asker.operate(operation, Some(&self.name)).await?;
        Ok(self.shared.annals())
    }
}

/// Cancel a rebuild that was begun by a request to this process
///
/// What is read stays as it was; the next one goes on from there.
#[utoipa::path(
    delete, path = "/projections/{name}/rebuild", tag = "projections", params(("name" = String, Path)),
    responses((status = NO_CONTENT, description = "It has stopped"), (status = NOT_FOUND, description = "None is under way"))
)]
async fn cancel(order: Order) -> Result<StatusCode, Problem> {
    order.may("rebuild").await?;
    match order.shared.rebuilds().stop(&order.name).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("no rebuild of it was begun here that is under way")),
    }
}

/// Let a stopped projection try again
#[utoipa::path(
    post, path = "/projections/{name}/resume", tag = "projections", params(("name" = String, Path)),
    responses((status = NO_CONTENT, description = "It tries"), (status = NOT_FOUND, description = "There is no such projection"))
)]
async fn resume(order: Order) -> Result<StatusCode, Problem> {
    let annals = order.may("resume").await?;
    annals.resume(&order.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leave out the event that a projection has stopped at
#[utoipa::path(
    post, path = "/projections/{name}/skip", tag = "projections", params(("name" = String, Path)),
    responses(
        (status = OK, body = Vec<DeadLetter>, description = "What was left out"),
        (status = NOT_FOUND, description = "There is no such projection"),
        (status = CONFLICT, description = "It has not stopped at an event"),
    )
)]
async fn skip(order: Order) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let annals = order.may("skip").await?;
    Ok(Json(annals.skip(&order.name).await?))
}

/// What a projection has left out
#[utoipa::path(
    get, path = "/projections/{name}/letters", tag = "projections", params(("name" = String, Path)),
    responses((status = OK, body = Vec<DeadLetter>), (status = NOT_FOUND, description = "There is no such projection"))
)]
async fn letters(order: Order) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let annals = order.may("letters").await?;
    Ok(Json(annals.dead_letters(&order.name).await?))
}

/// How many events were taken in.
#[derive(Debug, Serialize, ToSchema)]
struct TakenIn {
    /// How many.
    events: u64,
}

/// Take in what a projection has left out
#[utoipa::path(
    post, path = "/projections/{name}/replay", tag = "projections", params(("name" = String, Path)),
    responses(
        (status = OK, body = TakenIn),
        (status = NOT_FOUND, description = "There is no such projection"),
        (status = CONFLICT, description = "An event fails still, or the projection moved on meanwhile"),
    )
)]
async fn replay(order: Order) -> Result<Json<TakenIn>, Problem> {
    let annals = order.may("replay").await?;
    let (annals, name) = (annals.clone(), order.name.clone());
    // It goes on though the client hangs up.
    let replaying = tokio::spawn(async move { annals.replay(&name).await });
    let events = replaying.await.map_err(|error| Problem::internal(&error))??;
    Ok(Json(TakenIn { events }))
}
