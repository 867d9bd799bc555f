//! The numbers of topics.

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, at_most};
use crate::http::{Asker, At, Params, Problem, Shared};
use crate::projections::metrics::{MetricQuery, MetricQueryParams, MetricReport};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_topic))
}

/// The numbers of all events
#[utoipa::path(
    get, path = "/metrics/", tag = "metrics", params(MetricQueryParams, After), responses((status = OK, body = MetricReport))
)]
async fn all(
    asker: Asker,
    Params(asked, after, _): Params<MetricQueryParams, After>,
) -> Result<Json<MetricReport>, Problem> {
    numbers(asker, "", &asked, after).await
}

/// The numbers of a topic and of what is below it
#[utoipa::path(
    get, path = "/metrics/{*topic}", tag = "metrics",
    params(("topic" = String, Path, description = "A path like project/member"), MetricQueryParams, After),
    responses((status = OK, body = MetricReport))
)]
async fn of_topic(
    asker: Asker,
    At(topic): At<String>,
    Params(asked, after, _): Params<MetricQueryParams, After>,
) -> Result<Json<MetricReport>, Problem> {
    numbers(asker, &topic, &asked, after).await
}

async fn numbers(
    asker: Asker,
    topic: &str,
    asked: &MetricQueryParams,
    after: After,
) -> Result<Json<MetricReport>, Problem> {
    at_most("slices", asked.slices, 1_000)?;
    at_most("busiest", asked.busiest, 1_000)?;
    let query = asker.metric(topic).await?;
    let query = after.head().into_iter().fold(query, MetricQuery::after);
    Ok(Json(asked.of(query).await?))
}
