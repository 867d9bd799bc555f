//! What this application adds to the command line: `import` and `summary`.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use annals::BoxError;
use annals::cli::{Bar, Opening};
use annals::http::Authentication;
use annals::prelude::*;
use clap::{Arg, ArgAction, ArgMatches, Command as Subcommand, value_parser};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::git::Repository;
use crate::import::{Progress, import};
use crate::summary;

/// Where the page is, if nobody else is there.
const USUAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8080);

/// An application with the subcommands.
pub(super) fn on(app: App) -> App {
    let import = Subcommand::new("import")
        .about("Import the first-parent history of a git repository: one command for each changed path")
        .after_help(
            "Importing again adds what is new and nothing twice; an import that was stopped, or killed, goes on where it \
             was. A store holds the history of one repository.",
        )
        .arg(
            Arg::new("repository")
                .value_name("REPO")
                .default_value(".")
                .value_parser(value_parser!(PathBuf))
                .help("The repository, or any directory in it"),
        )
        .arg(Arg::new("summary").long("summary").action(ArgAction::SetTrue).help("Then print the summary"))
        .arg(Arg::new("serve").long("serve").action(ArgAction::SetTrue).help("Then serve the page, until Ctrl-C"));
    let summary = Subcommand::new("summary")
        .about("Print the latest sentences, the most active actors and the busiest directories");
    app.subcommand(import, run_import)
        .subcommand(summary, |app, _| async move { summary::print(&app.open().await?).await })
}

async fn run_import(app: Opening, matches: ArgMatches) -> Result<(), BoxError> {
    let path = matches.get_one::<PathBuf>("repository").cloned().unwrap_or_else(|| ".".into());
    let repository = tokio::task::spawn_blocking(move || Repository::open(path)).await??;
    let annals = app.open().await?;
    let mut bar = Bar::new("importing commits", 0);
    let done = import(&annals, &repository, ctrl_c(), |so_far, total| bar.at(so_far.commits, total)).await;
    bar.finish();
    let done = done?;
    say(&done);
    if done.stopped {
        return Err("stopped before the end of the history; what was imported stays: import again to go on".into());
    }
    if matches.get_flag("summary") {
        summary::print(&annals).await?;
    }
    match matches.get_flag("serve") {
        true => serve(annals).await,
        false => Ok(()),
    }
}

/// Serves the page to this machine until Ctrl-C: at the usual port, or another one if that is taken.
async fn serve(annals: Annals) -> Result<(), BoxError> {
    let listener = match TcpListener::bind(USUAL).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => TcpListener::bind((USUAL.0, 0)).await?,
        listener => listener?,
    };
    let router = annals::http::router(annals).name("git_audit").authentication(Authentication::trusting(None));
    println!("\nThe history is at http://{} until Ctrl-C", listener.local_addr()?);
    let interrupted = async {
        // Without a handler Ctrl-C ends the program at once, which does no harm either.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(annals::http::serve(listener, router.into_router(), interrupted).await?)
}

/// Turns true at the first Ctrl-C.
fn ctrl_c() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        match tokio::signal::ctrl_c().await {
            Ok(()) => drop(stop.send(true)),
            // Without a handler Ctrl-C ends the program at once, which does no harm either.
            Err(_) => stop.closed().await,
        }
    });
    stopped
}

fn say(done: &Progress) {
    println!(
        "{} commits, {} commands accepted: {} new, {} known from an earlier import; {} events added",
        done.commits,
        done.commands,
        done.commands - done.repeated,
        done.repeated,
        done.events
    );
}
