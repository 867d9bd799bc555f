//! `annals-bench-http`: measures the cost of HTTP relative to the same commands in process, and the delay and memory of a thousand
//! followers. `soak` checks a server under bad clients for leaks.
//!
//! ## Layout
//! - `arguments`: the command line
//! - `bank`: the application
//! - `server`: an application that is served in its own process, and its memory and open files
//! - `client`: a minimal HTTP client that uses little processor time
//! - `load`: commands in process and over HTTP, and pages of the audit log at the same time
//! - `turns`: alternating measurement of two processes
//! - `followers`: many clients of Server-Sent Events
//! - `soak`: half-open connections, invalid frames, slow readers
//! - `processor`: used processor time
//! - `table`: the report

mod arguments;
#[allow(dead_code, reason = "shared with the other benchmark, which uses the rest")]
#[path = "../../competitors/bank.rs"]
mod bank;
mod client;
mod followers;
mod load;
mod processor;
mod server;
mod soak;
mod table;
mod turns;

use std::process::ExitCode;

use annals_bench_driver::BoxError;
use clap::Parser;
use tokio::runtime::Builder;

use arguments::{Arguments, Load, What};
use load::Commands;
use server::{Place, Server};
use table::Table;
use turns::{TURN, Taker};

/// The one that the examples have: what is measured is what they do.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let what = Arguments::parse().what;
    // The client has one thread with its own loop, so that it leaves the processors to the server.
    let mut runtime = match what {
        What::OverHttp { .. } => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let done = runtime.enable_all().build().map_err(BoxError::from).and_then(|runtime| runtime.block_on(run(what)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annals-bench-http: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(what: What) -> Result<(), BoxError> {
    match what {
        What::Server { store } => server::serve(&store).await,
        What::InProcess { store, callers } => load::in_process(&store, callers).await,
        What::OverHttp { server, process, connections, feed } => {
            load::over_http(server, &process, connections, &feed).await
        }
        What::Load(load) => measure(&load).await,
        What::Soak(soak) => soak::run(&soak).await,
    }
}

async fn measure(load: &Load) -> Result<(), BoxError> {
    let mut table = Table::default();
    for run in 1..=load.runs {
        for &connections in &load.connections {
            eprintln!("run {run}: callers in process and connections: {connections}");
            let (same, over) = commands(load, connections).await?;
            table.commands(connections, same, over);
        }
        eprintln!("run {run}: followers");
        let place = Place::new(load.store.as_deref()).await?;
        let server = Server::start(place.url()).await?;
        table.followers(followers::measure(&server, load).await?);
        server.stop().await?;
        place.remove().await;
    }
    let text = table.print(load);
    print!("{text}");
    if let Some(file) = &load.markdown {
        std::fs::write(file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}

/// Measures commands in process and over HTTP in alternating turns.
async fn commands(load: &Load, connections: usize) -> Result<(Commands, Commands), BoxError> {
    let (place, served) = (Place::new(load.store.as_deref()).await?, Place::new(load.store.as_deref()).await?);
    let server = Server::start(served.url()).await?;
    let (address, process, callers) = (server.address.to_string(), server.process()?, connections.to_string());
    let mut same = Taker::start(&["in-process", place.url(), &callers])?;
    let mut over = Taker::start(&["over-http", &address, &process, &callers, &load.feed])?;
    // At least one turn, and one more for warm-up.
    for _ in 0..=(load.seconds / TURN.as_secs_f64()).ceil().max(1.0) as u64 {
        same.turn().await?;
        over.turn().await?;
    }
    let measured = (same.end().await?, over.end().await?);
    server.stop().await?;
    place.remove().await;
    served.remove().await;
    Ok(measured)
}
