//! How often the grants of a party were used.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::After;
use crate::access::{AccessView, GrantUse};
use crate::events::{LogPosition, Ref};
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::projections::DocumentView;

/// The route, if the application has rights in its log.
pub(in crate::http) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    match state.annals().has_rights() {
        true => OpenApiRouter::new().routes(routes!(uses)),
        false => OpenApiRouter::new(),
    }
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct UsesParams {
    /// Whose grants [default: the actor's]
    #[param(value_type = Option<String>, min_length = 3, max_length = 1024)]
    party: Option<Ref>,
}

/// The use of a party's grants.
#[derive(Debug, Serialize, ToSchema)]
struct UsesOfGrants {
    /// The party.
    #[schema(value_type = String)]
    party: Ref,
    /// Each grant that is not revoked, the oldest first.
    grants: Vec<UsesOfGrant>,
    /// Whether reads count: they do if the application records them.
    with_reads: bool,
    /// The log position up to which uses are counted at least.
    head: LogPosition,
}

/// The use of a grant.
#[derive(Debug, Serialize, ToSchema)]
struct UsesOfGrant {
    /// The id of the grant.
    grant: Uuid,
    /// How many commands it allowed, and how many recorded reads: equal reads of ten minutes are one.
    uses: u64,
    /// When the last one was recorded; null if there was none.
    #[schema(value_type = Option<String>, format = DateTime)]
    last: Option<Timestamp>,
    /// The position of the last one.
    position: Option<u64>,
}

impl UsesOfGrant {
    fn new(grant: Uuid, found: Option<GrantUse>) -> Self {
        Self {
            grant,
            uses: found.map_or(0, |found| found.uses),
            last: found.map(|found| found.last),
            position: found.map(|found| found.position),
        }
    }
}

/// Count how often grants were used
///
/// Returns how many commands, and recorded reads, each grant of a party has allowed, and when it was last used. It needs the same right as
/// the party's document of the view `access`.
#[utoipa::path(
    get, path = "/access/uses", operation_id = "grant_uses", tag = "access", params(UsesParams, After),
    responses((status = OK, body = UsesOfGrants, description = "The uses"))
)]
async fn uses(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(UsesParams { party }, after, _): QueryParams<UsesParams, After>,
) -> Result<Json<UsesOfGrants>, Problem> {
    let party = match party {
        Some(party) => party,
        None => caller.context()?.actor().clone(),
    };
    let head = match after.head() {
        Some(head) => head,
        None => state.annals().store().head().await?,
    };
    let key = party.as_str();
    let view = caller.view(AccessView::NAME, Some(key)).await?.after(head).get(key).await?;
    let view =
        view.map(serde_json::from_value::<AccessView>).transpose().map_err(|error| Problem::internal(&error))?;
    let grants: Vec<Uuid> = view.unwrap_or_default().grants.iter().map(|held| held.grant).collect();
    let mut found = state.annals().grant_uses(&grants, head).await?;
    let grants = grants.into_iter().map(|grant| UsesOfGrant::new(grant, found.remove(&grant))).collect();
    Ok(Json(UsesOfGrants { party, grants, with_reads: state.annals().records_reads(), head }))
}
