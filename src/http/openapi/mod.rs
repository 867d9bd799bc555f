//! The OpenAPI 3.1 document.
//!
//! ## Layout
//! - `document`: the document, from the routes and the commands
//! - `live`: the description of live streams
//! - `merge`: merges `allOf` into plain objects
//! - `schemas`: the schemas of types that are written as text

mod document;
mod live;
mod merge;
mod schemas;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::schemas::ParameterSchemas;
use super::{AppState, api, page};

/// A reference to a named schema.
fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of the schema of a command's body.
fn body_of(command: &str) -> String {
    format!("{command}.Command")
}

/// The JSON routes, and the document that describes them.
pub(super) fn routes(state: &AppState) -> Router<AppState> {
    let described = OpenApiRouter::with_openapi(ParameterSchemas::openapi()).merge(api::routes(state));
    let (routes, described) = described.split_for_parts();
    let document = document::of(state, &described).to_string();
    let serve = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) });
    routes.route("/openapi.json", serve)
}

/// The page `/try`.
pub(super) fn open_routes() -> Router<AppState> {
    Router::new().route("/try", get(page::try_it))
}
