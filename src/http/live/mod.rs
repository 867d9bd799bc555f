//! Server-Sent Events, and JSON-RPC 2.0 over WebSocket.

use axum::Router;

use super::Shared;

/// The routes of what stays open: who asks is known to them.
pub(super) fn routes(_shared: &Shared) -> Router<Shared> {
    Router::new()
}
