//! The HTTP API: a real listening server and a real client, on both stores.
//!
//! ## Layout
//! - `bank`: the application, shared with the behaviour tests
//! - `served`: a served application, and its client
//! - `serve`: the subcommand
//! - `process`, `serving`: the subcommand in its own process
//! - `commands`: executing commands
//! - `conflicts`: conflicts with the current state
//! - `reading`: the audit log, metrics, views and stored events
//! - `operations`: projections, verification of the log, health checks, Prometheus metrics
//! - `reactions`: their status and pending steps, skips
//! - `tls`: TLS for a witness of the test's own
//! - `tokens`: JSON Web Tokens
//! - `access_page`: the page of access, and its forms
//! - `access_page_tokens`: tokens that it issues
//! - `requirements`: a running program that does not know what the log requires
//! - `suspension`, `older`: the log was restored from an older backup
//! - `several`, `round_robin`: two processes behind a load balancer, which is shared with the tests of streams
//! - `signing_in`: returning to the page that was requested
//! - `access_tokens`: tokens that their holders narrow
//! - `access_token_uses`: their use on a WebSocket, by streams, with grants
//! - `key_files`: keys in files
//! - `methods`: HEAD, OPTIONS, preconditions, ranges, headers that occur twice
//! - `origin`: what is recorded of a caller
//! - `own_routes`: routes of the application in the same program
//! - `page`: what the page records, and what it loads
//! - `configuration`: every flag and environment variable of `serve`
//! - `flags`: every flag of every other subcommand
//! - `proofs`: checkpoints, tiles and proofs of events
//! - `provenance`: formats and the page of provenance
//! - `program`: runs the program to its end
//! - `ending`: a fresh start, and the end
//! - `bad_input`: bad input
//! - `foreign_text`: texts of others on the command line
//! - `view_command`: documents on the command line
//! - `large_events`: events of a megabyte
//! - `limits`: limits of rate and concurrency
//! - `half_open`: ten thousand half-open connections
//! - `logs`: log lines
//! - `telemetry`: OpenTelemetry spans
//! - `described`: the OpenAPI document
//! - `flows`: flows, and their page
//! - `past`: states and documents as of a moment
//! - `peers`: a write API and an audit API in separate processes
#![cfg(feature = "http")]

#[cfg(all(feature = "access", feature = "cli"))]
mod access_page;
#[cfg(all(feature = "access", feature = "cli"))]
mod access_page_tokens;
#[cfg(feature = "access")]
mod access_token_uses;
#[cfg(feature = "access")]
mod access_tokens;
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
#[cfg(feature = "cli")]
mod flags;
mod flows;
#[cfg(feature = "cli")]
mod foreign_text;
#[cfg(all(feature = "cli", target_os = "linux"))]
mod half_open;
mod key_files;
mod large_events;
mod limits;
#[cfg(feature = "cli")]
mod logs;
mod methods;
#[cfg(all(feature = "access", feature = "cli"))]
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../behaviour/older.rs"]
mod older;
mod operations;
mod origin;
mod own_routes;
mod page;
mod past;
mod peers;
#[cfg(feature = "cli")]
mod process;
#[cfg(feature = "cli")]
mod program;
#[cfg(feature = "proofs")]
mod proofs;
mod provenance;
mod reactions;
mod reading;
#[cfg(feature = "access")]
mod requirements;
#[cfg(feature = "cli")]
#[path = "../live/round_robin.rs"]
mod round_robin;
#[cfg(feature = "cli")]
mod serve;
mod served;
#[allow(dead_code, reason = "shared with the tests in a browser, which use the rest")]
mod serving;
#[cfg(feature = "cli")]
mod several;
mod signing_in;
#[cfg(all(feature = "access", feature = "cli"))]
mod suspension;
#[cfg(feature = "telemetry")]
mod telemetry;
#[path = "../feeds/tls.rs"]
mod tls;
mod tokens;
#[cfg(feature = "cli")]
mod view_command;
