//! JSON-RPC 2.0 over WebSocket: commands, questions, and subscriptions.
//!
//! | method | parameters | answer |
//! |---|---|---|
//! | `execute` | `command`, `body`, `command_id` | the receipt |
//! | `audit` | the words of `/audit`; filters are arrays | a page |
//! | `metric` | `topic`, `from`, `until` | the metric |
//! | `subscribe_audit` | the words of `/audit` | a subscription; then notifications `audit` |
//! | `subscribe_metric` | `topic`, `from`, `until`, `cursor` | a subscription; then notifications `metric` |
//! | `unsubscribe` | `subscription` | whether there was one |
//!
//! A notification has `subscription` and `result`: a `cursor`, and a `row` or a `metric`. The last one has an `error` in
//! place of the result: why it ends, and the cursor to go on from.
//!
//! Requests of one connection are answered as they are done, sixteen of them at a time: who needs an order waits for the
//! answer before.
//!
//! ## Layout
//! - `message`: what a message says, and answers
//! - `code`: which problem has which code
//! - `methods`: what can be called
//! - `session`: one connection; `outgoing`: what it sends, within bounds
//! - `subscriptions`: what it follows

mod code;
mod message;
mod methods;
mod outgoing;
mod session;
mod subscriptions;

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use self::session::Session;
use super::{Asker, Closing, Live, Problem};

/// The longest message that is taken in.
const LONGEST: usize = 1024 * 1024;

/// What is read at a time: little, since many who follow have nothing to say.
const READ: usize = 4 * 1024;

/// What is written at a time.
const WRITE: usize = 16 * 1024;

/// Opens a connection for who asks.
pub(super) async fn upgrade(
    State(live): State<Arc<Live>>,
    Extension(asker): Extension<Asker>,
    closing: Closing,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| no_websocket(&rejection))?;
    let room = live.open.take(&asker)?;
    let asker = asker.format("json-rpc");
    // Up to twice as much is read, so that what is too long can be answered.
    let upgrade = upgrade.max_message_size(2 * LONGEST).max_frame_size(2 * LONGEST);
    let upgrade = upgrade.read_buffer_size(READ).write_buffer_size(WRITE);
    let counted = live.shared.traffic().follower("websocket");
    Ok(upgrade.on_upgrade(async move |socket| {
        Session::new(live, asker, closing).run(socket).await;
        drop((room, counted));
    }))
}

fn no_websocket(rejection: &WebSocketUpgradeRejection) -> Problem {
    let status = match rejection {
        WebSocketUpgradeRejection::MethodNotGet(_) => StatusCode::METHOD_NOT_ALLOWED,
        WebSocketUpgradeRejection::InvalidConnectionHeader(_)
        | WebSocketUpgradeRejection::InvalidUpgradeHeader(_)
        | WebSocketUpgradeRejection::ConnectionNotUpgradable(_) => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::BAD_REQUEST,
    };
    let detail = format!("here JSON-RPC is spoken over WebSocket: {rejection}");
    Problem::new(status, "no-websocket", "this is for WebSockets", detail)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
}
