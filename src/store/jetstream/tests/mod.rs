//! Tests of what can happen between a process, the servers and other processes, on a real server.
//!
//! ## Layout
//! - `bed`: a server, and stores on it
//! - `brokers`: the server
//! - `proxy`: between a store and its server
//! - `answers`: answers that are lost, wrong or late
//! - `others`: batches, claims and other messages of other processes
//! - `files`: local files that are missing, old or of something else; streams that were restored
//! - `turns`: write locks and turns
//! - `refused`: streams, servers and rights that are not as they must be

mod answers;
mod bed;
#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../../../../tests/feeds/brokers.rs"]
mod brokers;
mod files;
mod others;
mod proxy;
mod refused;
mod turns;
