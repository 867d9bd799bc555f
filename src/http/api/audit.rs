//! Pages and counts of the audit log.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{After, at_most};
use crate::http::{Asker, Params, Problem, Shared};
use crate::projections::audit::{Asked, AuditCount, AuditPage, AuditQuery};
use crate::projections::presenter::Words;

/// The most that a limit may be: how many events are counted at most.
pub(super) const MOST: u64 = 1_000_000;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(count))
}

/// Who did what, when, to what
///
/// A page: 50 rows when there is no limit, 1,000 at most, with the cursor of the next one.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Asked, Words, After), responses((status = OK, body = AuditPage))
)]
async fn page(
    State(shared): State<Shared>,
    asker: Asker,
    Params(asked, words, after): Params<Asked, Words, After>,
) -> Result<Json<AuditPage>, Problem> {
    at_most("limit", asked.limit, MOST)?;
    let presenter = shared.annals().presenter();
    // A language that is not spoken is said before anything is read.
    let _ = words.of(presenter.clone())?;
    let query = after.head().into_iter().fold(asked.of(asker.audit()?), AuditQuery::after);
    let mut page = query.page().await?;
    words.tell(presenter, &mut page.rows).await?;
    Ok(Json(page))
}

/// How many there are, by whom, of which action and type
///
/// Of 10,000 events, or the limit: where there are more, `complete` is false and every number reads "at least".
#[utoipa::path(
    get, path = "/audit/count", tag = "audit", params(Asked, After), responses((status = OK, body = AuditCount))
)]
async fn count(asker: Asker, Params(asked, after, _): Params<Asked, After>) -> Result<Json<AuditCount>, Problem> {
    at_most("limit", asked.limit, MOST)?;
    let query = after.head().into_iter().fold(asked.of(asker.audit()?), AuditQuery::after);
    Ok(Json(query.count().await?))
}
