//! The proofs of the log: static resources, as C2SP's `tlog-tiles` lays them out below `/log`, and the proof of an event.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{AppState, Caller, NoParams, PathParams, Problem, QueryParams};
use crate::proofs::{ProofStatus, Proofs, TilePath};

/// A checkpoint is replaced by the next one.
const MUTABLE: &str = "private, no-cache";

/// What a checkpoint covers never changes.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

/// The routes, if the application keeps proofs.
pub(in crate::http) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    if !state.annals().keeps_proofs() {
        return OpenApiRouter::new();
    }
    let routes = OpenApiRouter::new().routes(routes!(checkpoint)).routes(routes!(tile));
    routes.routes(routes!(proof)).routes(routes!(status))
}

async fn proofs(state: &AppState, caller: &Caller) -> Result<Proofs, Problem> {
    Ok(match caller.reader()? {
        Some(reader) => reader.proofs().await?,
        None => state.annals().proofs()?,
    })
}

/// Get the last signed checkpoint of the log
///
/// A signed note with the name of the log, the number of its events and the root of their tree. Needs the right to read the audit log, in
/// full or as metadata.
#[utoipa::path(
    get, path = "/log/checkpoint", operation_id = "log_checkpoint", tag = "proofs",
    responses(
        (status = OK, body = String, content_type = "text/plain", description = "The checkpoint"),
        (status = NOT_FOUND, description = "None was signed yet"),
    )
)]
async fn checkpoint(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Response, Problem> {
    let checkpoint = proofs(&state, &caller).await?.last_checkpoint().await?;
    Ok(([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, MUTABLE)], checkpoint.to_string()).into_response())
}

/// Get a tile of hashes, or a bundle of entries
///
/// `L/N` is a tile of level L, `entries/N` a bundle of entries; N is written as `x001/x234/067`, and `.p/W` follows for the first W of them.
/// They never change. Entries are the leaves of events, which hold no values.
#[utoipa::path(
    get, path = "/log/tile/{*path}", operation_id = "log_tile", tag = "proofs",
    params(("path" = String, Path, description = "Path of the tile below `/log/tile/`")),
    responses(
        (status = OK, body = Vec<u8>, content_type = "application/octet-stream", description = "The hashes or entries"),
        (status = NOT_FOUND, description = "The log of the last checkpoint does not have it"),
    )
)]
async fn tile(
    State(state): State<AppState>,
    PathParams(path): PathParams<String>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Response, Problem> {
    let proofs = proofs(&state, &caller).await?;
    let found = match TilePath::parse(&path) {
        Some(path) => proofs.resource(path).await?,
        None => None,
    };
    match found {
        Some(bytes) => Ok(([(CONTENT_TYPE, BYTES), (CACHE_CONTROL, IMMUTABLE)], bytes).into_response()),
        None => Err(Problem::not_found("the log of the last checkpoint has no such tile")),
    }
}

/// Get the proof that an event is in the log of the last checkpoint
///
/// A text (`.tlog-proof`) that is verified without this server: by `verify`, or by another program that knows the format.
#[utoipa::path(
    get, path = "/log/proof/{position}", operation_id = "log_proof", tag = "proofs",
    params(("position" = u64, Path, description = "Position of the event")),
    responses(
        (status = OK, body = String, content_type = "text/plain", description = "The proof"),
        (status = NOT_FOUND, description = "The last checkpoint does not cover the position, or there is none"),
    )
)]
async fn proof(
    State(state): State<AppState>,
    PathParams(position): PathParams<u64>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<Response, Problem> {
    let proof = proofs(&state, &caller).await?.prove(position).await?;
    Ok(([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, MUTABLE)], proof.to_string()).into_response())
}

/// Get how far the tree and the checkpoints are
#[utoipa::path(
    get, path = "/log/status", operation_id = "log_status", tag = "proofs",
    responses((status = OK, body = ProofStatus, description = "The numbers of events, and the last checkpoint"))
)]
async fn status(
    State(state): State<AppState>,
    caller: Caller,
    _: QueryParams<NoParams>,
) -> Result<axum::Json<ProofStatus>, Problem> {
    Ok(axum::Json(proofs(&state, &caller).await?.status().await?))
}
