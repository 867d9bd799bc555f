//! `annals-bench`: compares the speed of annals with other frameworks and with plain databases, in one run on one machine.
//!
//! ## Layout
//! - `arguments`: the command line
//! - `catalogue`: the competitors
//! - `workload`: the workloads
//! - `brokers`: starts the NATS servers
//! - `session`: the server, the directories, an empty database for each measurement
//! - `child`: runs each measurement in its own process
//! - `peers`: builds the programs of other frameworks
//! - `append`, `rebuild`, `read`, `feeds`, `grants`, `jetstream`, `past`, `proofs`, `provenance`, `reactions`, `sealing`, `tenants`: the measurements
//! - `table`: the report
//! - `machine`: the description of the machine
//! - `competitors`: annals and the floors
//!
//! The crate `annals-bench-driver` has the workload itself, which is the same for all competitors.

mod append;
mod arguments;
#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../../tests/feeds/brokers.rs"]
mod brokers;
mod catalogue;
mod child;
mod competitors;
mod feeds;
mod grants;
mod jetstream;
mod machine;
mod past;
mod peers;
mod proofs;
mod provenance;
mod reactions;
mod read;
mod rebuild;
mod sealing;
mod session;
mod table;
mod tenants;
mod workload;

use std::process::ExitCode;

use annals_bench_driver::BoxError;
use clap::Parser;

use arguments::{Arguments, What};
use session::Session;

#[tokio::main]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(child::WORKER) {
        let job = words.next().unwrap_or_default();
        return annals_bench_driver::serve(&job, async |job| competitors::open(job).await).await;
    }
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("annals-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The exit code of an interrupted program in a shell.
const INTERRUPTED: u8 = 130;

async fn run(arguments: Arguments) -> Result<ExitCode, BoxError> {
    let own = match arguments.what {
        What::Feeds => Some(feeds::run(&arguments).await?),
        What::Grants => Some(grants::measure().await?),
        What::Jetstream => Some(jetstream::run(&arguments).await?),
        What::Past => Some(past::run(&arguments).await?),
        What::Proofs => Some(proofs::run(&arguments).await?),
        What::Provenance => Some(provenance::run(&arguments).await?),
        What::Reactions => Some(reactions::run(&arguments).await?),
        What::Sealing => Some(sealing::run(&arguments).await?),
        What::Tenants => Some(tenants::run(&arguments).await?),
        What::Append | What::Rebuild | What::Read | What::All => None,
    };
    if let Some(table) = own {
        print!("{table}");
        return Ok(ExitCode::SUCCESS);
    }
    let entries = catalogue::chosen(&arguments.only)?;
    let session = Session::start(&arguments, &entries).await?;
    let header = machine::header(&session, &arguments).await;
    eprintln!("{header}");
    let mut appended = append::Results::default();
    let mut rebuilt = rebuild::Results::default();
    let mut read = Vec::new();
    let measured = async {
        if arguments.what == What::Read {
            let events = arguments.events.unwrap_or(read::EVENTS);
            return read::run(&session, &entries, events, &mut read).await;
        }
        let peers = peers::build(&entries).await;
        if arguments.what != What::Rebuild {
            append::run(&session, &peers, &entries, &arguments, &mut appended).await;
        }
        if arguments.what != What::Append {
            rebuild::run(&session, &peers, &entries, &arguments, &mut rebuilt).await;
        }
    };
    let interrupted = tokio::select! {
        () = measured => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    session.clean_up().await;
    let mut text = header;
    if interrupted {
        eprintln!("interrupted: printing the measurements so far");
        text.push_str("\n**Interrupted: the measurements are incomplete.**\n");
    }
    text.push_str(&table::append(&appended));
    text.push_str(&table::rebuild(&rebuilt));
    if arguments.what == What::Read {
        text.push_str(&read::report(&read));
    }
    print!("{text}");
    if let Some(file) = &arguments.markdown {
        std::fs::write(file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}
