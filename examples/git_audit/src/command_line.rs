//! The subcommands `import` and `summary`.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use annals::BoxError;
use annals::cli::{EndingSignals, ProgressBar, UnopenedApp, counted};
use annals::http::Authentication;
use annals::prelude::*;
use clap::{Arg, ArgAction, ArgMatches, Command as Subcommand, value_parser};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::git::Repository;
use crate::import::{Progress, import};
use crate::summary;

/// The address of the page, unless it is in use.
const DEFAULT_ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8080);

/// Adds the subcommands to an application.
pub(super) fn add_to(app: App) -> App {
    let import = Subcommand::new("import")
        .about("Import the first-parent history of a git repository: one command for each changed path")
        .after_help(
            "Examples:\n  git_audit import\n  git_audit import ../linux --store sqlite://linux.db --summary\n\n\
             A second import adds only new commits. An import that was interrupted or killed continues when it is run again. \
             A store holds the history of one repository.",
        )
        .arg(
            Arg::new("repository")
                .value_name("REPO")
                .default_value(".")
                .value_parser(value_parser!(PathBuf))
                .help("The repository, or a directory in it"),
        )
        .arg(Arg::new("copies").long("copies").action(ArgAction::SetTrue).help(
            "Also detect copied files, as `git log --follow` does: slower. Use it in each import into a store, or in none",
        ))
        .arg(Arg::new("summary").long("summary").action(ArgAction::SetTrue).help("Print the summary after the import"))
        .arg(Arg::new("serve").long("serve").action(ArgAction::SetTrue).help("Serve the page after the import, until Ctrl-C or another ending signal"));
    let summary = Subcommand::new("summary")
        .about("Print the latest events, the most active actors and the busiest directories")
        .after_help("Example:\n  git_audit summary");
    app.subcommand(import, run_import)
        .subcommand(summary, |app, _| async move { summary::print(&app.open().await?).await })
}

async fn run_import(app: UnopenedApp, matches: ArgMatches) -> Result<(), BoxError> {
    let path = matches.get_one::<PathBuf>("repository").cloned().unwrap_or_else(|| ".".into());
    let repository = tokio::task::spawn_blocking(move || Repository::open(path)).await??;
    let repository = repository.with_copies(matches.get_flag("copies"));
    let annals = app.open().await?;
    let mut bar = ProgressBar::new("importing commits", 0);
    let done = import(&annals, &repository, ended()?, |so_far, total| bar.at(so_far.commits, total)).await;
    bar.finish();
    let done = done?;
    print_result(&done);
    if done.stopped {
        return Err("interrupted before the end of the history: run the import again to continue".into());
    }
    if matches.get_flag("summary") {
        summary::print(&annals).await?;
    }
    match matches.get_flag("serve") {
        true => serve(annals).await,
        false => Ok(()),
    }
}

/// Serves the page to this machine until Ctrl-C or another ending signal, on a free port if the default port is in use.
async fn serve(annals: Annals) -> Result<(), BoxError> {
    let listener = match TcpListener::bind(DEFAULT_ADDRESS).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => TcpListener::bind((DEFAULT_ADDRESS.0, 0)).await?,
        listener => listener?,
    };
    let router = annals::http::router(annals).name("git_audit").authentication(Authentication::trusting(None));
    println!("\nServing the history at http://{} until Ctrl-C or another ending signal", listener.local_addr()?);
    let mut signals = EndingSignals::listen()?;
    let ended = async move { _ = signals.received().await };
    Ok(annals::http::serve(listener, router.into_router(), ended).await?)
}

/// A channel whose value becomes true at the first signal that asks the program to end.
fn ended() -> std::io::Result<watch::Receiver<bool>> {
    let mut signals = EndingSignals::listen()?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        signals.received().await;
        // An error means that the import is over.
        let _ = stop.send(true);
    });
    Ok(stopped)
}

fn print_result(done: &Progress) {
    println!(
        "imported {} as {}: {} new, {} from an earlier import; {} added",
        counted(done.commits, "commit"),
        counted(done.commands, "command"),
        done.commands - done.repeated,
        done.repeated,
        counted(done.events, "event")
    );
}
