//! The door for other programs, as they meet it: a real listening server, a real client, on both stores.
//!
//! ## Layout
//! - `served`: an application served, and its client
//! - `serve`: the subcommand; `process`: the same as a process of its own
//! - `commands`: executing them; `conflicts`: what does not fit what is there; `reading`: everything of the read side; `looking_after`: projections, the log, health
//! - `tokens`: who is asking; `origin`: what is recorded of that
//! - `page`: what the page records, and what it is made of; `configuration`: every flag and variable; `ending`: a fresh start, and the end
//! - `bad_input`: what must be turned away; `limits`, `half_open`: how much is taken on
//! - `logs`: what goes to stderr; `telemetry`: what goes to a collector
//! - `described`: OpenAPI; `peers`: a write API and an audit API apart
#![cfg(feature = "http")]

mod bad_input;
#[allow(dead_code, reason = "shared with the behaviour tests, which use the rest")]
#[path = "../behaviour/bank.rs"]
mod bank;
mod commands;
#[cfg(feature = "cli")]
mod configuration;
mod conflicts;
mod described;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod ending;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod half_open;
mod limits;
#[cfg(feature = "cli")]
mod logs;
mod looking_after;
mod origin;
mod page;
mod peers;
#[cfg(feature = "cli")]
mod process;
mod reading;
#[cfg(feature = "cli")]
mod serve;
mod served;
#[cfg(feature = "telemetry")]
mod telemetry;
mod tokens;
