//! The subcommands `demo`, `run` and `overhead`.

use std::net::SocketAddr;

use annals::cli::UnopenedApp;
use annals::prelude::*;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::programs::{self, Client};
use crate::{demo, overhead};

/// Adds the subcommands to an application.
pub(super) fn add_to(app: App) -> App {
    let listen = Arg::new("listen").long("listen").value_name("ADDRESS:PORT").default_value("127.0.0.1:8080");
    let demo = Command::new("demo")
        .about("Live through a scripted day, then serve the owner's page until Ctrl-C")
        .after_help("Example:\n  databox demo\n\nThe log is in memory: everything is gone at the end.")
        .arg(
            listen
                .value_parser(value_parser!(SocketAddr))
                .help("Listen address of the page; port 0 chooses a free port"),
        )
        .arg(Arg::new("once").long("once").action(ArgAction::SetTrue).help("End with the day"));
    let run = Command::new("run")
        .about("Run a driver or an app, as the container manager does")
        .after_help(
            "The address of the platform, a token and the name are in DATABOX_URL, DATABOX_TOKEN and DATABOX_APP.",
        )
        .arg(
            Arg::new("program")
                .value_name("PROGRAM")
                .required(true)
                .value_parser(programs::NAMES)
                .help("The program"),
        );
    let overhead =
        Command::new("overhead").about("Measure a data request over HTTP with and without records of reads").arg(
            Arg::new("sources")
                .long("sources")
                .value_name("N")
                .default_value("2000")
                .value_parser(value_parser!(u32).range(100..=50_000))
                .help("Number of data sources: requests of each kind"),
        );
    app.subcommand(demo, run_demo)
        .subcommand(run, |_, matches| async move {
            let program = matches.get_one::<String>("program").cloned().unwrap_or_default();
            programs::run(&program, &Client::of_environment()?).await
        })
        .subcommand(overhead, |_, matches| async move {
            overhead::measure(matches.get_one::<u32>("sources").copied().unwrap_or(2_000)).await
        })
}

async fn run_demo(_: UnopenedApp, matches: ArgMatches) -> Result<(), BoxError> {
    let listen = matches.get_one::<SocketAddr>("listen").copied().unwrap_or(([127, 0, 0, 1], 8080).into());
    demo::run(listen, matches.get_flag("once")).await
}
