//! The commands, and executing one.

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

use super::body::{json, read};
use crate::commands::{Context, ExecuteError, Refusal};
use crate::http::{Asker, At, Params, Problem, Shared};
use crate::store::Receipt;

/// More bytes than a receipt has.
const RECEIPT: usize = 512;

/// The header that holds a command's id.
const KEY: &str = "idempotency-key";

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, execute))
}

/// A command that can be executed.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Executable {
    /// Its name.
    name: &'static str,
    /// What it does, in a line.
    summary: &'static str,
    /// The JSON schema of its body.
    schema: Value,
}

impl Executable {
    fn all(shared: &Shared) -> impl Iterator<Item = Self> {
        shared.annals().commands().map(|info| Self {
            name: info.name,
            summary: info.summary,
            schema: shared.schemas().of(info.name).unwrap_or(&info.schema).clone(),
        })
    }
}

/// The commands
#[utoipa::path(get, path = "/commands", tag = "commands", responses((status = OK, body = Vec<Executable>)))]
async fn list(State(shared): State<Shared>, _: Asker, _: Params<crate::http::Nothing>) -> Json<Vec<Executable>> {
    Json(Executable::all(&shared).collect())
}

/// A command
#[utoipa::path(
    get, path = "/commands/{name}", tag = "commands", params(("name" = String, Path)),
    responses((status = OK, body = Executable), (status = NOT_FOUND, description = "There is no such command"))
)]
async fn show(
    State(shared): State<Shared>,
    _: Asker,
    At(name): At<String>,
    _: Params<crate::http::Nothing>,
) -> Result<Json<Executable>, Problem> {
    Executable::all(&shared)
        .find(|command| command.name == name)
        .map(Json)
        .ok_or_else(|| Problem::not_found(format!("there is no command `{}`: see /commands", name.escape_debug())))
}

/// Execute a command
///
/// It is answered when its events are durable. The same `Idempotency-Key` again has no second effect, and gets the first
/// receipt again.
#[utoipa::path(
    post, path = "/commands/{name}", tag = "commands",
    params(
        ("name" = String, Path),
        ("Idempotency-Key" = Option<Uuid>, Header, description = "The command's id, a UUID: give one to be able to try again"),
    ),
    request_body(content = Value, content_type = "application/json"),
    responses((status = OK, body = Receipt))
)]
fn execute(
    State(shared): State<Shared>,
    asker: Asker,
    At(name): At<String>,
    _: Params<crate::http::Nothing>,
    request: Request,
) -> impl Future<Output = Result<Response, Problem>> + Send {
    // What the head says is seen to before there is a future, which so has to hold less: beyond 1 KiB, memory for it is
    // had much more slowly.
    let asked =
        context(&asker, request.headers()).and_then(|context| Ok((context, json(request, shared.largest_body())?)));
    async move {
        let (context, body) = asked?;
        let body = read(body, shared.largest_body()).await?;
        let executing = Box::pin(begin(&shared, &name, &body, &context)?);
        drop(body);
        // It goes on though the client hangs up: the answer is kept under the command's id.
        answer(&executing.await?)
    }
}

/// Who gives the command, and its id if there is one.
fn context(asker: &Asker, headers: &HeaderMap) -> Result<Context, Problem> {
    let context = asker.context()?;
    Ok(match command_id(headers)? {
        Some(id) => context.command_id(id),
        None => context,
    })
}

/// Reads the command, and begins to execute it.
fn begin<'a>(
    shared: &'a Shared,
    name: &str,
    body: &[u8],
    context: &'a Context,
) -> Result<impl Future<Output = Result<Receipt, ExecuteError<Refusal>>> + Send + use<'a>, Problem> {
    let body = str::from_utf8(body).map_err(|_| Problem::malformed("the body is not UTF-8"))?;
    let read: Value = serde_json::from_str(body)
        .map_err(|error| Problem::malformed(format!("the body is no JSON that is taken: {error}")))?;
    shared.schemas().check(name, &read)?;
    Ok(shared.annals().execute_read(name, body, &read, context)?)
}

/// Written at once, in memory that it fits into.
fn answer(receipt: &Receipt) -> Result<Response, Problem> {
    let mut body = Vec::with_capacity(RECEIPT);
    serde_json::to_writer(&mut body, receipt).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// The id that the client gives: a UUID, quoted or not.
fn command_id(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let id = key.to_str().ok().and_then(|text| Uuid::try_parse(text.trim_matches('"')).ok());
    match (id, given.next()) {
        (Some(id), None) => Ok(Some(id)),
        _ => Err(Problem::malformed("Idempotency-Key is one UUID").with("header", "Idempotency-Key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What axum adds to a route's future, for what it takes apart of the request.
    const TAKEN_APART: usize = 424;

    /// The largest piece of memory that glibc has at hand.
    const AT_HAND: usize = 1_032;

    fn size_of_future<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_command_fits_into_memory_that_is_had_quickly() {
        assert!(size_of_future(execute) + TAKEN_APART <= AT_HAND, "{}", size_of_future(execute));
    }
}
