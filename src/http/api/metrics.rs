//! The numbers of topics.

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, at_most};
use crate::http::{Asker, At, Params, Problem, Shared};
use crate::projections::metrics::{Asked, MetricQuery, Numbers};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_topic))
}

/// The numbers of all events
#[utoipa::path(
    get, path = "/metrics/", tag = "metrics", params(Asked, After), responses((status = OK, body = Numbers))
)]
async fn all(asker: Asker, Params(asked, after, _): Params<Asked, After>) -> Result<Json<Numbers>, Problem> {
    numbers(asker, "", &asked, after).await
}

/// The numbers of a topic and of what is below it
#[utoipa::path(
    get, path = "/metrics/{*topic}", tag = "metrics",
    params(("topic" = String, Path, description = "A path like project/member"), Asked, After),
    responses((status = OK, body = Numbers))
)]
async fn of_topic(
    asker: Asker,
    At(topic): At<String>,
    Params(asked, after, _): Params<Asked, After>,
) -> Result<Json<Numbers>, Problem> {
    numbers(asker, &topic, &asked, after).await
}

async fn numbers(asker: Asker, topic: &str, asked: &Asked, after: After) -> Result<Json<Numbers>, Problem> {
    at_most("slices", asked.slices, 1_000)?;
    at_most("busiest", asked.busiest, 1_000)?;
    let query = asker.metric(topic).await?;
    let query = after.head().into_iter().fold(query, MetricQuery::after);
    Ok(Json(asked.of(query).await?))
}
