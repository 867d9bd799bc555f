//! What there is, in OpenAPI 3.1, and a page to try it.
//!
//! ## Layout
//! - `document`: the document, from the routes and the commands; `live`: what of it stays open
//! - `try.html`, `try.css`, `try.js`: the page, which loads nothing from elsewhere

mod document;
mod live;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::schemas::OfParameters;
use super::{Shared, api};

/// The routes for programs, and the document that describes them.
pub(super) fn routes(shared: &Shared) -> Router<Shared> {
    let described = OpenApiRouter::with_openapi(OfParameters::openapi()).merge(api::routes());
    let (routes, described) = described.split_for_parts();
    let document = document::of(shared, &described).to_string();
    let serve = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) });
    routes.route("/openapi.json", serve)
}

/// The page to try it: who uses it gives it a token, if it takes one.
pub(super) fn open_routes() -> Router<Shared> {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let asset = |content_type: &'static str, body: &'static str| {
        get(move || async move {
            ([(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, POLICY)], body)
        })
    };
    Router::new()
        .route("/try", asset("text/html; charset=utf-8", include_str!("try.html")))
        .route("/try.css", asset("text/css; charset=utf-8", include_str!("try.css")))
        .route("/try.js", asset("text/javascript; charset=utf-8", include_str!("try.js")))
}
