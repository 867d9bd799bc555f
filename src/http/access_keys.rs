//! The public keys of access tokens: holders need them to narrow a token.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AppState, Problem};
use crate::tokens::KeyInfo;

/// The path of the keys.
const PATH: &str = "/access/keys";

/// The body of the response.
#[derive(Serialize)]
struct AccessKeys {
    keys: Vec<KeyInfo>,
}

/// The route, which needs no authentication: the keys are public. There is none if access tokens are not accepted.
pub(super) fn open_routes(state: &AppState) -> Router<AppState> {
    match state.settings().authentication.access_keys() {
        Some(_) => Router::new().route(PATH, get(keys)),
        None => Router::new(),
    }
}

async fn keys(State(state): State<AppState>) -> Result<Json<AccessKeys>, Problem> {
    let keys = state.settings().authentication.access_keys();
    let keys = keys.ok_or_else(|| Problem::not_found("access tokens are not accepted"))?;
    Ok(Json(AccessKeys { keys: keys.infos() }))
}

/// Describes the route in the OpenAPI document.
pub(super) fn describe(state: &AppState, paths: &mut Map<String, Value>, schemas: &mut Value) {
    if state.settings().authentication.access_keys().is_none() {
        return;
    }
    let key = json!({
        "type": "object",
        "description": "A public key of access tokens.",
        "required": ["id", "key", "signs"],
        "properties": {
            "id": { "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "Its id, which tokens name" },
            "key": { "type": "string", "pattern": "^ed25519/[0-9a-f]{64}$", "description": "The key in hexadecimal" },
            "signs": { "type": "boolean", "description": "Whether new tokens are signed with it" },
        },
    });
    schemas["AccessKey"] = key;
    schemas["AccessKeys"] = json!({
        "type": "object",
        "description": "The public keys of access tokens, the newest first.",
        "required": ["keys"],
        "properties": { "keys": { "type": "array", "items": { "$ref": "#/components/schemas/AccessKey" } } },
    });
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/AccessKeys" } } });
    let operation = json!({
        "operationId": "access_keys",
        "tags": ["access"],
        "summary": "List the public keys of access tokens",
        "description": "List the public keys that access tokens are signed with. Holders need them to narrow a token.",
        "security": [],
        "responses": { "200": { "description": "The keys", "content": content } },
    });
    paths.insert(PATH.to_owned(), json!({ "get": operation }));
}
