//! JSON-RPC 2.0 over WebSocket: commands, queries and subscriptions.
//!
//! | method | parameters | result |
//! |---|---|---|
//! | `execute` | `command`, `body`, `command_id` | the receipt |
//! | `audit` | the parameters of `/audit`; filters are arrays | a page |
//! | `metric` | `topic`, `by_occurrence`, `from`, `until` | the metric |
//! | `subscribe_audit` | the parameters of `/audit` | a subscription number; then notifications `audit` |
//! | `subscribe_metric` | `topic`, `by_occurrence`, `from`, `until`, `cursor` | a subscription number; then notifications `metric` |
//! | `unsubscribe` | `subscription` | whether the subscription existed |
//!
//! A notification has `subscription` and `result`: a `cursor`, and a `row` or a `metric`. The last notification has `error`
//! instead of `result`: why the subscription ends, and the cursor to resume from.
//!
//! A connection handles sixteen messages at a time and responds in the order of completion. A client that needs an order
//! waits for the previous response.
//!
//! ## Layout
//! - `message`: parses requests, and writes responses
//! - `error`: [`RpcError`](error::RpcError), and which problem has which code
//! - `methods`: the methods
//! - `connection`: [`RpcConnection`], one connection
//! - `outgoing`: the bounded queue of outgoing messages
//! - `subscriptions`: the subscriptions of a connection

mod connection;
mod error;
mod message;
mod methods;
mod outgoing;
mod subscriptions;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use self::connection::RpcConnection;
use super::{Caller, Live, Problem, StreamLifetime};

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// The read buffer, in bytes. It is small, since most subscribers send little.
const READ_BUFFER: usize = 4 * 1024;

/// The write buffer, in bytes.
const WRITE_BUFFER: usize = 16 * 1024;

/// Upgrades a request to a WebSocket.
pub(super) async fn upgrade(
    State(live): State<Arc<Live>>,
    Extension(caller): Extension<Caller>,
    lifetime: StreamLifetime,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| not_a_websocket(&rejection))?;
    let permit = live.streams.acquire(caller.key())?;
    let caller = caller.format("json-rpc");
    // Up to twice the limit is read, so that the connection can close with a reason.
    let upgrade = upgrade.max_message_size(2 * MAX_MESSAGE).max_frame_size(2 * MAX_MESSAGE);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(WRITE_BUFFER);
    let open = live.state.metrics().open_stream("websocket");
    Ok(upgrade.on_upgrade(async move |socket| {
        RpcConnection::new(live, caller, lifetime).run(socket).await;
        drop((permit, open));
    }))
}

fn not_a_websocket(rejection: &WebSocketUpgradeRejection) -> Problem {
    let status = match rejection {
        WebSocketUpgradeRejection::MethodNotGet(_) => StatusCode::METHOD_NOT_ALLOWED,
        WebSocketUpgradeRejection::InvalidConnectionHeader(_)
        | WebSocketUpgradeRejection::InvalidUpgradeHeader(_)
        | WebSocketUpgradeRejection::ConnectionNotUpgradable(_) => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::BAD_REQUEST,
    };
    let detail = format!("this route serves JSON-RPC over WebSocket: {rejection}");
    Problem::new(status, "no-websocket", "WebSocket required", detail)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
}
