//! Issues access tokens.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::{IssueError, IssuedToken};
use crate::events::Ref;
use crate::http::body::read_json;
use crate::http::{AppState, Caller, NoParams, Problem, QueryParams};

/// The route, if the application has rights in its log and a key to sign tokens with.
pub(in crate::http) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    let keys = state.settings().authentication.access_keys().filter(|_| state.annals().has_rights());
    match keys {
        Some(keys) if keys.signer().is_ok() => OpenApiRouter::new().routes(routes!(issue)),
        _ => OpenApiRouter::new(),
    }
}

/// What a token is issued for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// The id of the grant that the token can use.
    grant: Uuid,
    /// Whose grant, and whose token: without it, the actor's.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 1024)]
    grantee: Option<Ref>,
    /// Until when the token is valid; without it, as long as the grant.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The reason, which stays in the log.
    why: String,
}

/// A token.
#[derive(Serialize, ToSchema)]
struct AccessTokenText {
    /// The text of the token. It is shown once, and stored nowhere.
    token: String,
    /// The revocation id of its first block: `revoke_token` revokes the token by this.
    block: String,
}

/// Issue an access token
///
/// Makes a token for a grant, records who issued it and why, and responds with its text, which is shown once. The holder of the
/// grant and owners may.
#[utoipa::path(
    post, path = "/access/tokens", operation_id = "issue_access_token", tag = "access",
    request_body = NewToken,
    responses(
        (status = OK, body = AccessTokenText, description = "The token"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
        (status = UNPROCESSABLE_ENTITY, description = "The token was refused: `refusal` is the variant of the error"),
    )
)]
async fn issue(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<([(HeaderName, HeaderValue); 1], Json<AccessTokenText>), Problem> {
    let context = caller.context()?;
    let NewToken { grant, grantee, until, why } = read_json(&state, request).await?;
    let grantee = grantee.unwrap_or_else(|| context.actor().clone());
    let keys = state.settings().authentication.access_keys();
    let keys = keys.ok_or_else(|| Problem::not_found("access tokens are not accepted"))?;
    let IssuedToken { text, block } =
        state.annals().issue_token(keys, &grantee, grant, until, why, &context).await?;
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(AccessTokenText { token: text, block })))
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Execute(error) => error.into(),
            IssueError::Mint(error) => Self::malformed(error.to_string()),
            error => Self::internal(&error),
        }
    }
}
