//! HTML for people.

use axum::Router;
use axum::response::Response;

use super::{Problem, Shared};

/// The page's own routes: who asks is known to them.
pub(super) fn routes(_shared: &Shared) -> Router<Shared> {
    Router::new()
}

/// What anybody gets: style, script, what signs somebody in. Nothing of the log.
pub(super) fn open_routes(_shared: &Shared) -> Router<Shared> {
    Router::new()
}

/// What a browser is shown in place of a problem; none: it gets the problem as JSON, like a program.
pub(super) fn of_problem(_shared: &Shared, _problem: &Problem) -> Option<Response> {
    None
}
