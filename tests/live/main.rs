//! What stays open: HTTP, Server-Sent Events and JSON-RPC over WebSocket, driven over real sockets by clients that know
//! nothing of this crate.
//!
//! ## Layout
//! - `server`: an application served on a port, stopped, and served again
//! - `sse`, `rpc`: clients of either protocol
//! - `conformance`: one test that drives all of them alike
//! - `resuming`: cursors, and how streams begin and end
//! - `metrics`: the accumulated value first, then each change
//! - `protocol`: JSON-RPC as its specification says; frames out of protocol
//! - `ending`: what a connection leaves behind
//! - `asking`: who may ask, and what is recorded of it
//! - `restored`: the log is put back to an older state
//! - `processes`: one process writes, another is followed
//! - `python`: the same from Python

mod asking;
#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;
mod conformance;
mod ending;
mod metrics;
#[path = "../behaviour/older.rs"]
mod older;
mod processes;
mod protocol;
mod python;
mod restored;
mod resuming;
mod rpc;
mod server;
mod sse;

use std::time::Duration;

/// No wait is longer: then something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What comes in time.
async fn in_time<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}
