//! Erasures of personal data: listing them, and erasing a subject.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::events::Ref;
use crate::http::body::read_json;
use crate::http::{AppState, Caller, NoParams, Problem, QueryParams};
use crate::personal::{EraseError, Erasure};
use crate::text::error_chain;

/// The routes, if the application has personal data.
pub(super) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    match state.annals().has_personal_data() {
        true => OpenApiRouter::new().routes(routes!(all)).routes(routes!(erase)),
        false => OpenApiRouter::new(),
    }
}

/// The erasures of a log.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ErasureList {
    /// The erasures, in the order in which they were decided.
    erasures: Vec<Erasure>,
    /// Why the keys of these subjects are not destroyed yet, as this process knows it.
    #[schema(value_type = std::collections::HashMap<String, String>)]
    problems: BTreeMap<Ref, String>,
    /// Why copies of destroyed keys may remain, if so.
    #[schema(required = true)]
    weakness: Option<String>,
}

/// List all erasures of personal data
#[utoipa::path(
    get, path = "/erasures", operation_id = "list_erasures", tag = "erasures",
    responses((status = OK, body = ErasureList, description = "The erasures"))
)]
async fn all(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<ErasureList>, Problem> {
    caller.operate("status", None).await?;
    let annals = state.annals();
    let (erasures, problems) = (annals.erasures().await?, annals.erasure_problems()?);
    Ok(Json(ErasureList { erasures, problems, weakness: annals.key_store()?.weakness() }))
}

/// A subject that is to be erased.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubjectAndReason {
    /// The subject: a reference like user:7.
    #[schema(value_type = String, pattern = "^[a-z][a-z0-9_-]*:[^\\u0000]+$")]
    subject: Ref,
    /// The reason, of at most 1,000 bytes, which stays in the log: do not write personal data into it.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Erase the personal data of a subject
///
/// Records the decision, destroys the key of the subject, and waits until no process opens its values any more: some five seconds. If the
/// answer does not arrive, the erasure continues all the same. A subject that is erased already stays so.
#[utoipa::path(
    post, path = "/erasures", operation_id = "erase_subject", tag = "erasures", request_body = SubjectAndReason,
    responses(
        (status = OK, body = Erasure, description = "The subject is erased"),
        (status = REQUEST_TIMEOUT, description = "The body did not arrive in time"),
        (status = PAYLOAD_TOO_LARGE, description = "The body is too large"),
        (status = UNSUPPORTED_MEDIA_TYPE, description = "The body is not declared as JSON"),
        (status = UNPROCESSABLE_ENTITY, description = "The subject cannot be erased"),
    )
)]
async fn erase(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
    request: Request,
) -> Result<Json<Erasure>, Problem> {
    caller.operate("erase", None).await?;
    let context = caller.context()?;
    let SubjectAndReason { subject, reason } = read_json(&state, request).await?;
    Ok(Json(state.annals().erase(&subject, &reason, &context).await?))
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        let message = error_chain(&error);
        match error {
            EraseError::Off => Self::not_found(message),
            EraseError::Reason => Self::malformed(message).with("parameter", "reason"),
            EraseError::Reserved(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "reference", "invalid reference", message)
            }
            EraseError::Execute(error) => error.into(),
            EraseError::Store(error) => error.into(),
            EraseError::NotDestroyed { .. } | EraseError::Unfinished(_) => Self::unavailable(message),
            EraseError::Keys { .. } | EraseError::KeyStore(_) => {
                tracing::error!(error = %message, "the key store of personal data fails");
                Self::unavailable("the key store of personal data fails; the server logged the cause")
            }
        }
    }
}
