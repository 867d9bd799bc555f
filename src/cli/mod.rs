//! The command line of an application: [`App::main`].
//!
//! ## Layout
//! - `execute`, `commands`, `audit`, `metrics`, `export`, `lineage`, `provenance`, `flows`: one subcommand each
//! - `view`, `show`, `projections`, `reactions`, `feeds`, `intakes`, `events`: one subcommand each
//! - `access`: a subcommand of applications with access
//! - `personal`: the subcommands `erase` and `keys` of applications with personal data
//! - `proofs`: the subcommands `proofs` and `verify` of applications that keep proofs
//! - `check`, `backup`, `migrate`, `serve`, `completions`, `man`: one subcommand each
//! - `fields`: the fields of a command as options, from its JSON schema
//! - `session`: the common options, and the application before and after its store is opened
//! - `output`: text, JSON and CSV on stdout
//! - `output_file`: a file that a subcommand writes
//! - `ending_signals`: the signals that ask a program to end
//! - `plot`: plots as SVG or PNG files
//! - `sparkline`: plots as a line of text
//! - `progress`: progress bars on a terminal, plain lines otherwise
//! - `stderr`: messages and log lines on stderr
//! - `logs`: the configuration of log lines
//! - `telemetry`: the export of spans to an OpenTelemetry collector
//! - `exit`: exit codes

#[cfg(feature = "access")]
mod access;
mod audit;
mod backup;
mod check;
mod commands;
mod completions;
mod ending_signals;
mod events;
mod execute;
mod exit;
mod export;
#[cfg(feature = "feeds")]
mod feeds;
mod fields;
mod flows;
#[cfg(feature = "feeds")]
mod intakes;
mod lineage;
mod logs;
mod man;
mod metrics;
#[cfg(feature = "postgres")]
mod migrate;
mod output;
mod output_file;
#[cfg(feature = "personal")]
mod personal;
#[cfg(feature = "plots")]
mod plot;
mod progress;
mod projections;
#[cfg(feature = "proofs")]
mod proofs;
mod provenance;
mod reactions;
#[cfg(feature = "http")]
mod serve;
mod session;
mod show;
mod sparkline;
mod stderr;
#[cfg(feature = "telemetry")]
mod telemetry;
mod view;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand as Subcommands};
use futures::FutureExt;

pub use ending_signals::EndingSignals;
pub use output::{counted, plain};
pub use progress::ProgressBar;

use self::session::CommonArgs;
use crate::BoxError;
pub use crate::app::unopened::UnopenedApp;
use crate::app::{App, CustomSubcommand};
use crate::store::redact_urls;

/// The option for the output format. Each subcommand that prints a result declares it with the formats that it has; before the
/// subcommand any value is accepted.
const FORMAT: &str = "format";

/// Execute commands, and read the audit log, metrics and views of this application
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  $ commands\n  $ audit --newest-first --limit 20\n  $ execute --help\n\n\
                  Every change is a command; the store keeps its events. On SQLite the log is one file in WAL \
                  mode with synchronous=FULL: a command is answered when its events are on the disk. The views file beside \
                  it (*.views.db) can be deleted: it is rebuilt from the log.\n\n\
                  --store, --as and --format may stand before or after the subcommand.\n\n\
                  Environment: ANNALS_STORE names the store, ANNALS_ACTOR the actor, ANNALS_LOG what is logged to stderr \
                  (warn, info, debug); ANNALS_LOG_FORMAT=json writes log lines as JSON.",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Builtin,
}

#[derive(Subcommands)]
enum Builtin {
    Execute(execute::Execute),
    Commands(commands::Commands),
    Audit(Box<audit::Audit>),
    Metrics(metrics::Metrics),
    Export(Box<export::Export>),
    Lineage(lineage::Lineage),
    Provenance(provenance::Provenance),
    Flows(Box<flows::FlowsCommand>),
    View(view::View),
    Show(show::Show),
    Projections(projections::Projections),
    Reactions(reactions::Reactions),
    #[cfg(feature = "feeds")]
    Feeds(feeds::Feeds),
    #[cfg(feature = "feeds")]
    Intakes(intakes::Intakes),
    Events(events::Events),
    Check(check::Check),
    Backup(backup::Backup),
    #[cfg(feature = "postgres")]
    Migrate(migrate::Migrate),
    #[cfg(feature = "http")]
    Serve(serve::Serve),
    Completions(completions::Completions),
    Man(man::Man),
}

impl App {
    /// Adds a subcommand to the command line. Its function receives the application, not opened yet, and the arguments.
    /// `--store` and `--as` are options of every subcommand: it cannot define its own.
    ///
    /// ```no_run
    /// # use annals::prelude::*;
    /// App::new("demo").subcommand(clap::Command::new("head").about("Print the last position"), |app, _| async move {
    ///     let annals = app.open().await?;
    ///     println!("{}", annals.store().head().await?.position);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn subcommand<F, R>(mut self, command: clap::Command, run: F) -> Self
    where
        F: FnOnce(UnopenedApp, ArgMatches) -> R + Send + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.subcommands
            .push(CustomSubcommand { command, run: Box::new(|app, matches| run(app, matches).boxed()) });
        self
    }

    /// Runs the command line with the arguments of this process. Returns the exit code: 0 for success, 77 if the authoriser
    /// denied access, 2 for arguments that cannot be parsed, 1 for other errors. Errors and log lines go to stderr.
    pub async fn main(self) -> ExitCode {
        self.main_with(std::env::args_os()).await
    }

    /// Runs the command line with these arguments, of which the first is the program's name.
    pub async fn main_with<T: Into<OsString> + Clone>(self, arguments: impl IntoIterator<Item = T>) -> ExitCode {
        let mut command_line = self.command_line();
        let matches = command_line.try_get_matches_from_mut(arguments);
        let matches = match matches.and_then(|matches| check_format(&command_line, matches)) {
            Ok(matches) => matches,
            Err(error) => {
                let text = error.render().to_string();
                // An argument that the error repeats may be a URL with a password. Help goes to stdout; its URLs are examples.
                let hidden = redact_urls(&text);
                // It may also act on a terminal.
                let shown = output::lines(hidden.trim_end());
                if shown == text.trim_end() || !error.use_stderr() {
                    let _ = error.print();
                } else {
                    stderr::print(shown);
                }
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        let done = self.run(matches).await;
        stderr::flush().await;
        exit::code(done)
    }

    /// The parser of the whole command line: to write documentation from it, or to try each subcommand.
    #[must_use]
    pub fn command_line(&self) -> clap::Command {
        let formats =
            |own: &CustomSubcommand| own.command.get_arguments().any(|option| option.get_long() == Some(FORMAT));
        // A subcommand of the application may define its own `--format`, of another type.
        let format = Arg::new(FORMAT).long(FORMAT).global(!self.subcommands.iter().any(formats)).hide(true);
        with_program(Cli::command(), self.name)
            .name(self.name)
            .bin_name(self.name)
            .arg(format)
            .mut_subcommand("execute", |execute| execute::with_commands(execute, self.name, self.commands()))
            .subcommands(self.subcommands.iter().map(|own| own.command.clone()))
            .subcommands(self.access_subcommand().map(|command| with_program(command, self.name)))
            .subcommands(self.proof_subcommands().into_iter().map(|command| with_program(command, self.name)))
            .subcommands(self.personal_subcommands().into_iter().map(|command| with_program(command, self.name)))
    }

    /// `access`, if the application has access.
    #[cfg(feature = "access")]
    fn access_subcommand(&self) -> Option<clap::Command> {
        self.has_rights().then(access::command)
    }

    #[cfg(not(feature = "access"))]
    #[allow(clippy::unused_self, reason = "the same call with and without the feature")]
    fn access_subcommand(&self) -> Option<clap::Command> {
        None
    }

    /// `erase` and `keys`, if the application has personal data.
    fn personal_subcommands(&self) -> Vec<clap::Command> {
        #[cfg(feature = "personal")]
        if self.has_personal() {
            return personal::commands().into();
        }
        Vec::new()
    }

    /// `proofs` and `verify`, if the application keeps proofs.
    #[cfg(feature = "proofs")]
    fn proof_subcommands(&self) -> Vec<clap::Command> {
        if self.keeps_proofs() { proofs::commands().into() } else { Vec::new() }
    }

    #[cfg(not(feature = "proofs"))]
    #[allow(clippy::unused_self, reason = "the same call with and without the feature")]
    fn proof_subcommands(&self) -> Vec<clap::Command> {
        Vec::new()
    }

    /// Starts logging, and the export of spans if one is asked for, and runs the subcommand.
    #[cfg(feature = "telemetry")]
    async fn run(self, matches: ArgMatches) -> Result<(), BoxError> {
        let telemetry = telemetry::Telemetry::from_arguments(&matches, self.name)?;
        logs::to_stderr(telemetry.as_ref().map(telemetry::Telemetry::layer))?;
        let done = self.dispatch(matches).await;
        if let Some(telemetry) = telemetry {
            telemetry.shut_down().await;
        }
        done
    }

    /// Starts logging and runs the subcommand.
    #[cfg(not(feature = "telemetry"))]
    async fn run(self, matches: ArgMatches) -> Result<(), BoxError> {
        logs::to_stderr(None)?;
        self.dispatch(matches).await
    }

    async fn dispatch(mut self, matches: ArgMatches) -> Result<(), BoxError> {
        let name = matches.subcommand_name().unwrap_or_default();
        if let Some(index) = self.subcommands.iter().position(|own| own.command.get_name() == name) {
            let own = self.subcommands.swap_remove(index);
            let Some((_, own_matches)) = matches.subcommand() else { return Ok(()) };
            let app = UnopenedApp::new(self, CommonArgs::from_arg_matches(&matches)?);
            let opened = app.opened();
            let done = (own.run)(app, own_matches.clone()).await;
            if let Some(annals) = opened.get() {
                annals.close().await;
            }
            return done;
        }
        #[cfg(feature = "access")]
        if let Some(("access", own_matches)) = matches.subcommand() {
            return access::run(UnopenedApp::new(self, CommonArgs::from_arg_matches(&matches)?), own_matches).await;
        }
        #[cfg(feature = "personal")]
        if let Some((name @ ("erase" | "keys"), own_matches)) = matches.subcommand() {
            let app = UnopenedApp::new(self, CommonArgs::from_arg_matches(&matches)?);
            return personal::run(app, name, own_matches).await;
        }
        #[cfg(feature = "proofs")]
        if let Some((name @ ("proofs" | "verify"), own_matches)) = matches.subcommand() {
            let app = UnopenedApp::new(self, CommonArgs::from_arg_matches(&matches)?);
            return proofs::run(app, name, own_matches).await;
        }
        let Cli { common, command } = Cli::from_arg_matches(&matches)?;
        let app = UnopenedApp::new(self, common);
        match command {
            Builtin::Execute(command) => command.run(app).await,
            Builtin::Commands(command) => command.run(&app.app),
            Builtin::Audit(command) => command.run(app).await,
            Builtin::Metrics(command) => command.run(app).await,
            Builtin::Export(command) => command.run(app).await,
            Builtin::Lineage(command) => command.run(app).await,
            Builtin::Provenance(command) => command.run(app).await,
            Builtin::Flows(command) => command.run(app).await,
            Builtin::View(command) => command.run(app).await,
            Builtin::Show(command) => command.run(app).await,
            Builtin::Projections(command) => command.run(app).await,
            Builtin::Reactions(command) => command.run(app).await,
            #[cfg(feature = "feeds")]
            Builtin::Feeds(command) => command.run(app).await,
            #[cfg(feature = "feeds")]
            Builtin::Intakes(command) => command.run(app).await,
            Builtin::Events(command) => command.run(app).await,
            Builtin::Check(command) => command.run(app).await,
            Builtin::Backup(command) => command.run(app).await,
            #[cfg(feature = "postgres")]
            Builtin::Migrate(command) => command.run(app).await,
            #[cfg(feature = "http")]
            Builtin::Serve(command) => command.run(app).await,
            Builtin::Completions(command) => command.run(&app.app),
            Builtin::Man(command) => command.run(&app.app),
        }
    }
}

/// Puts the program's name in place of the `$` of each example in the help texts, so that an example can be pasted.
fn with_program(command: clap::Command, program: &'static str) -> clap::Command {
    let command =
        match command.get_after_help().map(|help| help.to_string().replace("  $ ", &format!("  {program} "))) {
            Some(help) => command.after_help(help),
            None => command,
        };
    command.mut_subcommands(|subcommand| with_program(subcommand, program))
}

/// Refuses a format before the subcommand that the subcommand does not have.
fn check_format(command_line: &clap::Command, matches: ArgMatches) -> Result<ArgMatches, clap::Error> {
    let (mut command, mut inner) = (command_line, &matches);
    while let Some((name, below)) = inner.subcommand() {
        match command.find_subcommand(name) {
            Some(subcommand) => (command, inner) = (subcommand, below),
            None => break,
        }
    }
    let option = command.get_arguments().find(|option| option.get_id() == FORMAT);
    let known: Vec<String> =
        option.into_iter().flat_map(Arg::get_possible_values).map(|value| value.get_name().to_owned()).collect();
    let given = inner.try_get_one::<String>(FORMAT).ok().flatten().cloned();
    match given {
        Some(given) if !known.is_empty() && !known.contains(&given) => {
            let message =
                format!("`{}` has no format `{given}`: use one of {}\n", command.get_name(), known.join(", "));
            Err(clap::Error::raw(ErrorKind::InvalidValue, message).with_cmd(command))
        }
        _ => Ok(matches),
    }
}

#[cfg(test)]
mod tests {
    use crate::projections::tests::fixture::guild::guild;

    #[test]
    fn the_test_of_the_authoriser_knows_each_subcommand() {
        let tested = include_str!("../../tests/behaviour/command_line.rs");
        let command_line = guild().command_line();
        let below = ["projections", "reactions", "feeds", "intakes"]
            .map(|name| command_line.find_subcommand(name).unwrap());
        let below = below.into_iter().flat_map(clap::Command::get_subcommands);
        for subcommand in command_line.get_subcommands().chain(below) {
            let name = subcommand.get_name();
            assert!(tested.contains(&format!("\"{name}\"")), "does `{name}` ask the authoriser?");
        }
    }
}
