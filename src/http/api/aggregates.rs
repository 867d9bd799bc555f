//! States of aggregates, now or as of a moment.

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::JsonState;
use crate::events::Ref;
use crate::http::{AppState, Caller, PathParams, Problem, QueryParams};
use crate::store::Moment;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(state))
}

/// A moment in the past.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct At {
    /// As of this moment: after the event at a position of the log, or after all that was recorded up to a time [default: now]
    pub at: Option<Moment>,
}

/// Get the state of an aggregate
///
/// Its state as the application writes it to JSON: as it is, or with `at` as it was. The position in the response gives the same
/// state for ever. It needs the right to read the audit log of this aggregate in full.
#[utoipa::path(
    get, path = "/aggregates/{kind}/{id}", operation_id = "get_state", tag = "log",
    params(("kind" = String, Path), ("id" = String, Path), At),
    responses(
        (status = OK, body = JsonState, description = "The state, with the moment that it is of"),
        (status = NOT_FOUND, description = "The aggregate type does not exist, or the aggregate had no event at the moment"),
    )
)]
async fn state(
    caller: Caller,
    PathParams((kind, id)): PathParams<(String, String)>,
    QueryParams(At { at }, ..): QueryParams<At>,
) -> Result<Json<JsonState>, Problem> {
    let aggregate = Ref::new(&kind, &id).map_err(|error| Problem::malformed(error.to_string()))?;
    let found = caller.state(&aggregate, at).await?;
    match found.sequence {
        0 => Err(Problem::not_found(format!(
            "{} has no event up to position {}",
            aggregate.as_str().escape_debug(),
            found.position
        ))),
        _ => Ok(Json(found)),
    }
}
