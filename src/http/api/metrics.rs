//! The metrics of topics.

use axum::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, check_max};
use crate::http::{AppState, Caller, PathParams, Problem, QueryParams};
use crate::projections::metrics::{MetricQuery, MetricQueryParams, MetricReport};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(of_topic))
}

/// Metrics of all events
#[utoipa::path(
    get, path = "/metrics/", operation_id = "metrics", tag = "metrics", params(MetricQueryParams, After),
    responses((status = OK, body = MetricReport, description = "The metrics"))
)]
async fn all(
    caller: Caller,
    QueryParams(asked, after, _): QueryParams<MetricQueryParams, After>,
) -> Result<Json<MetricReport>, Problem> {
    numbers(caller, "", &asked, after).await
}

/// Metrics of a topic and the topics below it
#[utoipa::path(
    get, path = "/metrics/{*topic}", operation_id = "metrics_of_topic", tag = "metrics",
    params(("topic" = String, Path, description = "A path like project/member"), MetricQueryParams, After),
    responses((status = OK, body = MetricReport, description = "The metrics"))
)]
async fn of_topic(
    caller: Caller,
    PathParams(topic): PathParams<String>,
    QueryParams(asked, after, _): QueryParams<MetricQueryParams, After>,
) -> Result<Json<MetricReport>, Problem> {
    numbers(caller, &topic, &asked, after).await
}

async fn numbers(
    caller: Caller,
    topic: &str,
    asked: &MetricQueryParams,
    after: After,
) -> Result<Json<MetricReport>, Problem> {
    check_max("slices", asked.slices, 1_000)?;
    check_max("busiest", asked.busiest, 1_000)?;
    let query = caller.metric(topic).await?;
    let query = after.head().into_iter().fold(query, MetricQuery::after);
    Ok(Json(asked.run(query).await?))
}
