//! Live streams: HTTP, Server-Sent Events and JSON-RPC over WebSocket, over real sockets, by clients that share no code with
//! this crate.
//!
//! ## Layout
//! - `bank`, `older`: the application, and restoring an older backup, shared with the behaviour tests
//! - `server`: an application that is served, stopped and served again
//! - `sse`: a client of Server-Sent Events
//! - `rpc`: a client of JSON-RPC over WebSocket
//! - `conformance`: one test that drives all protocols alike
//! - `resuming`: cursors, and how streams begin and end
//! - `metrics`: the current value first, then each change
//! - `protocol`: JSON-RPC as specified, and protocol errors
//! - `ending`: no task is left behind
//! - `followers`: readers that follow the same by each interface
//! - `rights`: streams end when a right or a token ends, by each interface
//! - `unconfirmed`: streams end when the store does not answer
//! - `unreliable`: a store that does not answer, shared with the fault tests
//! - `access`: authentication, authorisation, rates, languages and token expiry of streams
//! - `restored`: the log is restored to an older state
//! - `processes`: one process writes, another serves the streams, or two behind a load balancer
//! - `round_robin`: this balancer
//! - `python`: a client in Python

mod access;
#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;
mod conformance;
mod ending;
mod followers;
mod metrics;
#[path = "../behaviour/older.rs"]
mod older;
mod processes;
mod protocol;
mod python;
mod restored;
mod resuming;
mod rights;
mod round_robin;
mod rpc;
mod server;
mod sse;
mod unconfirmed;
#[allow(dead_code, reason = "shared with the fault tests, which use the rest")]
#[path = "../faults/unreliable.rs"]
mod unreliable;

use std::time::Duration;

/// The longest wait. After that, something hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for a future, at most [`TIMEOUT`].
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TIMEOUT, future).await.expect("it takes longer than the time-out")
}
