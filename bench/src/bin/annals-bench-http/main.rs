//! `annals-bench-http`: what the door costs, beside the same commands in process; how soon an event is with who follows,
//! and what a thousand followers take; and, as `soak`, what bad clients leave behind.
//!
//! ## Layout
//! - `arguments`: the command line
//! - `server`: a served application in a process of its own, and what it takes of memory and files
//! - `client`: HTTP as bytes, so that a client costs little beside what it measures
//! - `load`: commands, in process and over HTTP, and pages of the feed beside them
//! - `followers`: Server-Sent Events, many of them
//! - `soak`: half-open connections, frames out of protocol, slow readers, for as long as it is said
//! - `processor`: what was taken of the processors
//! - `table`: what is printed

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

use std::process::ExitCode;

use annals_bench_driver::BoxError;
use clap::Parser;

use arguments::{Arguments, Load, What};
use server::Server;
use table::Table;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Server { store } => server::serve(&store).await,
        What::InProcess { store, callers, seconds } => load::in_process(&store, callers, seconds).await,
        What::Load(load) => measure(&load).await,
        What::Soak(soak) => soak::run(&soak).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annals-bench-http: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(load: &Load) -> Result<(), BoxError> {
    let mut table = Table::default();
    for run in 1..=load.runs {
        for &connections in &load.connections {
            eprintln!("run {run}: {connections} callers in process");
            let place = server::Place::new(load.store.as_deref()).await?;
            let same = load::in_a_process(place.url(), connections, load.seconds).await?;
            place.remove().await;
            eprintln!("run {run}: {connections} connections");
            let place = server::Place::new(load.store.as_deref()).await?;
            let server = Server::start(place.url()).await?;
            let over = load::over_http(&server, connections, load.seconds, &load.feed).await?;
            server.stop().await?;
            place.remove().await;
            table.commands(connections, same, over);
        }
        eprintln!("run {run}: followers");
        let place = server::Place::new(load.store.as_deref()).await?;
        let server = Server::start(place.url()).await?;
        table.followers(followers::measure(&server, load).await?);
        server.stop().await?;
        place.remove().await;
    }
    let text = table.print(load);
    print!("{text}");
    if let Some(file) = &load.markdown {
        std::fs::write(file, &text).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    Ok(())
}
