//! Lists and executes commands.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::commands::{Context, ExecuteError, Refusal};
use crate::http::body::{json, read};
use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::store::Receipt;

/// The capacity for a receipt: more bytes than it has.
const RECEIPT_CAPACITY: usize = 512;

/// The header with the command id.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, execute))
}

/// The description of a command.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct CommandDescription {
    /// The name.
    name: &'static str,
    /// A summary of one line.
    summary: &'static str,
    /// The JSON schema of its body.
    schema: Value,
}

impl CommandDescription {
    fn all(state: &AppState) -> impl Iterator<Item = Self> {
        state.annals().commands().map(|info| Self {
            name: info.name,
            summary: info.summary,
            schema: state.schemas().of(info.name).unwrap_or(&info.schema).clone(),
        })
    }
}

/// List all commands
#[utoipa::path(
    get, path = "/commands", operation_id = "list_commands", tag = "commands",
    responses((status = OK, body = Vec<CommandDescription>, description = "The commands"))
)]
async fn list(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Json<Vec<CommandDescription>>, Problem> {
    caller.catalogue().await?;
    Ok(Json(CommandDescription::all(&state).collect()))
}

/// Describe a command
#[utoipa::path(
    get, path = "/commands/{name}", tag = "commands", params(("name" = String, Path)),
    responses((status = OK, body = CommandDescription, description = "The command"), (status = NOT_FOUND, description = "The command does not exist"))
)]
async fn show(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
) -> Result<Json<CommandDescription>, Problem> {
    caller.catalogue().await?;
    CommandDescription::all(&state)
        .find(|command| command.name == name)
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("unknown command `{}`: see /commands", name.escape_debug())))
}

/// Execute a command
///
/// Responds when the events are durable. A retry with the same `Idempotency-Key` has no second effect and returns the first
/// receipt.
#[utoipa::path(
    post, path = "/commands/{name}", tag = "commands",
    params(
        ("name" = String, Path),
        ("Idempotency-Key" = Option<Uuid>, Header, description = "The command id, a UUID: required for safe retries"),
    ),
    request_body(content = Value, content_type = "application/json"),
    responses((status = OK, body = Receipt, description = "The receipt: the events are durable"))
)]
fn execute(
    State(state): State<AppState>,
    caller: Caller,
    PathParams(name): PathParams<String>,
    _: QueryParams<NoParams>,
    request: Request,
) -> impl Future<Output = Result<Response, Problem>> + Send {
    // The head is handled before the future exists, so that the future holds less: above 1 KiB, its allocation is much
    // slower.
    let head = context(&caller, request.headers())
        .and_then(|context| Ok((context, json(request, state.settings().limits.largest_body)?)));
    async move {
        let (context, body) = head?;
        let body = read(body, state.settings().limits.largest_body).await?;
        let executing = Box::pin(start(&state, &name, &body, &context)?);
        drop(body);
        // A disconnect does not cancel the append: the receipt stays available under the command id.
        respond(&executing.await?)
    }
}

/// The context of the command: the caller, and the command id if one was sent.
fn context(caller: &Caller, headers: &HeaderMap) -> Result<Context, Problem> {
    let context = caller.context()?;
    Ok(match command_id(headers)? {
        Some(id) => context.command_id(id),
        None => context,
    })
}

/// Parses the body, and starts to execute the command.
fn start<'a>(
    state: &'a AppState,
    name: &str,
    body: &[u8],
    context: &'a Context,
) -> Result<impl Future<Output = Result<Receipt, ExecuteError<Refusal>>> + Send + use<'a>, Problem> {
    let body = str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let read: Value = serde_json::from_str(body)
        .map_err(|error| Problem::malformed(format!("the body is not valid JSON: {error}")))?;
    state.schemas().check(name, &read)?;
    Ok(state.annals().execute_json(name, body, context)?)
}

/// Serialises a receipt into memory that it fits into.
fn respond(receipt: &Receipt) -> Result<Response, Problem> {
    let mut body = Vec::with_capacity(RECEIPT_CAPACITY);
    serde_json::to_writer(&mut body, receipt).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// The command id that the client sent: a UUID, quoted or not.
fn command_id(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let id = key.to_str().ok().and_then(|text| Uuid::try_parse(text.trim_matches('"')).ok());
    let invalid = || Problem::malformed("`Idempotency-Key` must be one UUID").with("header", "Idempotency-Key");
    id.map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size that axum's extractors add to a route's future.
    const EXTRACTORS: usize = 424;

    /// The largest allocation that glibc serves from its thread cache.
    const TCACHE_MAX: usize = 1_032;

    fn size_of_future<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_command_fits_into_the_thread_cache_of_the_allocator() {
        assert!(size_of_future(execute) + EXTRACTORS <= TCACHE_MAX, "{}", size_of_future(execute));
    }
}
