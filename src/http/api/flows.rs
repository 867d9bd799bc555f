//! What flows from where through whose hands to where.

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, check_max};
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::projections::flows::{FlowPage, FlowQuery, FlowQueryParams, GrantPage, OutwardPage, UnusualFlows};
use crate::projections::metrics::Width;

/// The most rows of a page.
const MAX_LIMIT: usize = 1_000;

/// The routes, if the application keeps flows.
pub(in crate::http) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    if !state.annals().keeps_flows() {
        return OpenApiRouter::new();
    }
    let routes = OpenApiRouter::new().routes(routes!(flows)).routes(routes!(outward)).routes(routes!(unusual));
    match state.annals().has_rights() {
        true => routes.routes(routes!(grants)),
        false => routes,
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct MinuteParams {
    /// Flows by minute, the oldest first
    by_minute: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct UnusedParams {
    /// Only grants that hold and were not used
    unused: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct WidthParams {
    /// The width of the slices: whole minutes, at most 7 days [default: 1m]
    width: Option<Width>,
}

/// The query of a request.
fn query(state: &AppState, caller: &Caller, params: FlowQueryParams, after: After) -> Result<FlowQuery, Problem> {
    check_max("limit", params.limit, MAX_LIMIT)?;
    let query = match caller.reader()? {
        Some(reader) => reader.flows(),
        None => state.annals().flows(),
    };
    Ok(after.head().into_iter().fold(params.apply(query), FlowQuery::after))
}

/// What flowed from where through whose hands to where
///
/// A source is what a command was decided on, what an event was derived from, or what a read asked for; a sink is what was written, or
/// the destination of an export. Needs the right to read the audit log. Readers of metadata see no source that only a payload names, and no
/// destination of an export.
#[utoipa::path(
    get, path = "/flows", operation_id = "flows", tag = "flows", params(FlowQueryParams, MinuteParams, After),
    responses((status = OK, body = FlowPage, description = "The flows"))
)]
async fn flows(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(params, MinuteParams { by_minute }, after): QueryParams<FlowQueryParams, MinuteParams, After>,
) -> Result<Json<FlowPage>, Problem> {
    let query = query(&state, &caller, params, after)?;
    Ok(Json(if by_minute { query.by_minute().await? } else { query.page().await? }))
}

/// Which sources had a way out
///
/// Each is a path from a source through an actor to a destination outside of the application. `sent` is how often what led out names the
/// source itself; 0: the actor used it before, and may have sent it along.
#[utoipa::path(
    get, path = "/flows/outward", operation_id = "flows_outward", tag = "flows", params(FlowQueryParams, After),
    responses((status = OK, body = OutwardPage, description = "The paths"))
)]
async fn outward(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(params, after, _): QueryParams<FlowQueryParams, After>,
) -> Result<Json<OutwardPage>, Problem> {
    Ok(Json(query(&state, &caller, params, after)?.outward().await?))
}

/// Which flows were far from their own past
///
/// By the rule of the metrics' anomalies: a slice is compared with the 30 slices before it. Without `from`, the last 60 slices are
/// examined.
#[utoipa::path(
    get, path = "/flows/unusual", operation_id = "flows_unusual", tag = "flows", params(FlowQueryParams, WidthParams, After),
    responses((status = OK, body = UnusualFlows, description = "The unusual slices"))
)]
async fn unusual(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(params, WidthParams { width }, after): QueryParams<FlowQueryParams, WidthParams, After>,
) -> Result<Json<UnusualFlows>, Problem> {
    let width = width.unwrap_or(Width(SignedDuration::from_mins(1)));
    Ok(Json(query(&state, &caller, params, after)?.unusual(width).await?))
}

/// What is permitted, and how it was used
///
/// The grants with their use in the window, the oldest first. Of the filters, the actor (the holder) and the window count. Needs the right
/// to read the view `access` too.
#[utoipa::path(
    get, path = "/flows/grants", operation_id = "flows_grants", tag = "flows", params(FlowQueryParams, UnusedParams, After),
    responses((status = OK, body = GrantPage, description = "The grants"))
)]
async fn grants(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(params, UnusedParams { unused }, after): QueryParams<FlowQueryParams, UnusedParams, After>,
) -> Result<Json<GrantPage>, Problem> {
    Ok(Json(query(&state, &caller, params, after)?.grants(unused).await?))
}
