//! Pages and counts of the audit log.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, check_max};
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::projections::audit::{AuditCount, AuditPage, AuditQuery, AuditQueryParams};
use crate::projections::presenter::PresentationParams;

/// The maximum of `limit`, and of counted events.
pub(super) const MAX_LIMIT: u64 = 1_000_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(count))
}

/// Query the audit log: who did what, when, to what
///
/// Returns a page of 50 rows by default, at most 1,000, and the cursor of the next page.
#[utoipa::path(
    get, path = "/audit", operation_id = "query_audit", tag = "audit",
    params(AuditQueryParams, PresentationParams, After),
    responses((status = OK, body = AuditPage, description = "The rows, and the cursor of the next page"))
)]
async fn page(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(asked, words, after): QueryParams<AuditQueryParams, PresentationParams, After>,
) -> Result<Json<AuditPage>, Problem> {
    check_max("limit", asked.limit, MAX_LIMIT)?;
    let presenter = state.annals().presenter();
    // An unsupported language is an error before anything is read.
    let _ = words.apply(presenter.clone())?;
    let query = after.head().into_iter().fold(asked.apply(caller.audit()?), AuditQuery::after);
    let mut page = query.page().await?;
    words.apply_to_rows(presenter, &mut page.rows).await?;
    Ok(Json(page))
}

/// Count events by actor, action and type
///
/// Counts at most 10,000 events, or the limit. If there are more, `complete` is false and all numbers are minimums.
#[utoipa::path(
    get, path = "/audit/count", operation_id = "count_audit", tag = "audit", params(AuditQueryParams, After),
    responses((status = OK, body = AuditCount, description = "The counts"))
)]
async fn count(
    caller: Caller,
    QueryParams(asked, after, _): QueryParams<AuditQueryParams, After>,
) -> Result<Json<AuditCount>, Problem> {
    check_max("limit", asked.limit, MAX_LIMIT)?;
    let query = after.head().into_iter().fold(asked.apply(caller.audit()?), AuditQuery::after);
    Ok(Json(query.count().await?))
}
