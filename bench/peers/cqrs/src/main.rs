//! cqrs-es on postgres-es and sqlite-es for `annals-bench`: as in their documentation, with a pool of ten connections and without
//! snapshots.
//!
//! ## Layout
//! - `account`: the aggregate and its view
//! - `runner`: commands, retries and replay, the same for both databases
//! - `postgres`, `sqlite`: tables, pools, bulk loading

mod account;
mod postgres;
mod runner;
mod sqlite;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let job = std::env::args().nth(1).unwrap_or_default();
    annals_bench_driver::serve(&job, async |job| match job.competitor.as_str() {
        "postgres-es" => postgres::open(&job.place, false).await,
        "postgres-es-view" => postgres::open(&job.place, true).await,
        "sqlite-es" => sqlite::open(&job.place, false).await,
        "sqlite-es-view" => sqlite::open(&job.place, true).await,
        other => Err(format!("no competitor is called {other}").into()),
    })
    .await
}
