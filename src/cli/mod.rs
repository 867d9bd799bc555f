//! The command line of an application: `App::main`.
//!
//! ## Layout
//! - one file a subcommand: `execute`, `commands`, `audit`, `metrics`, `export`, `lineage`, `view`, `projections`, `events`,
//!   `check`, `backup`, `migrate`, `serve`
//! - `asking`, `words`: flags that several share: what is asked for, by whom, and the words that it is told in
//! - `plot`: plots in SVG or PNG files (feature `plots`); `sparkline`: one line of bars in the terminal
//! - `output`: formats
//! - `logs`: what is logged to stderr; `stderr`: lines to stderr, whatever it is; `telemetry`: what is told to a collector beside it
//! - `progress`: bars on a terminal, plain lines otherwise

mod asking;
mod audit;
mod backup;
mod check;
mod commands;
mod events;
mod execute;
mod export;
mod lineage;
mod logs;
mod metrics;
#[cfg(feature = "postgres")]
mod migrate;
mod output;
#[cfg(feature = "plots")]
mod plot;
mod progress;
mod projections;
#[cfg(feature = "http")]
mod serve;
mod sparkline;
mod stderr;
#[cfg(feature = "telemetry")]
mod telemetry;
mod view;

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand as Subcommands};
use futures::future::{BoxFuture, FutureExt};

pub use output::plain;
pub use progress::Bar;

use crate::BoxError;
use crate::app::access_log::LineageError;
use crate::app::{Annals, App, OpenError, Reader, ReaderError};
use crate::commands::{Context, ExecuteError, Refusal};
use crate::events::{InvalidRef, Origin, Ref};
use crate::projections::audit::AuditError;
use crate::projections::export::ExportError;
use crate::store::{redact_url, redact_urls};
use crate::text::error_chain;

type Run = Box<dyn FnOnce(Opening, ArgMatches) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// An application about to be opened on the store that `--store` names: a subcommand of its own first looks at what it
/// was asked, and opens it only if that makes sense, so that a mistake makes no store.
pub struct Opening {
    app: App,
    url: String,
    opened: Arc<OnceLock<Annals>>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening")
            .field("app", &self.app)
            .field("url", &redact_url(&self.url))
            .finish_non_exhaustive()
    }
}

impl Opening {
    /// Opens the application; the store is made if it is not there. It is closed when the subcommand is done.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open(self) -> Result<Annals, OpenError> {
        let annals = self.app.open(&self.url).await?;
        Ok(self.opened.get_or_init(|| annals).clone())
    }
}

/// The exit code of what was denied: "no permission", as in sysexits.h.
const DENIED: u8 = 77;

/// A subcommand of an application's own.
pub(crate) struct Subcommand {
    command: clap::Command,
    run: Run,
}

/// Where the store is.
#[derive(Args, Clone)]
struct StoreArgs {
    /// The store: sqlite://FILE.db, sqlite::memory: or postgres://HOST/DATABASE?schema=NAME [default: sqlite://<application>.db]
    #[arg(long, env = "ANNALS_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,
}

/// An actor that somebody may act as.
fn actor(text: &str) -> Result<Ref, InvalidRef> {
    let actor: Ref = text.parse()?;
    actor.check_caller()?;
    Ok(actor)
}

/// Who reads.
#[derive(Args, Clone, Debug)]
struct ReaderArgs {
    /// Who reads: a reference like user:alice. Where reads are recorded, or not everybody may, it has to be said
    #[arg(long = "as", env = "ANNALS_ACTOR", value_name = "KIND:ID", value_parser = actor)]
    reader: Option<Ref>,
}

impl ReaderArgs {
    /// An error if it has to be said who reads, and is not.
    fn check(&self, app: &App) -> Result<(), BoxError> {
        match self.reader.is_none() && app.reads_need_actor() {
            true => Err("it has to be said who reads: give --as KIND:ID, or set ANNALS_ACTOR".into()),
            false => Ok(()),
        }
    }

    fn of(&self, annals: &Annals) -> Option<Reader> {
        let context = Context::by(self.reader.clone()?);
        Some(annals.read_as(&context.origin(Origin { method: Some("cli".to_owned()), ..Origin::default() })))
    }
}

#[derive(Parser)]
#[command(
    after_help = "Every change is a command; what it does is kept as events in the store, for good. On SQLite the log is \
                  one file in WAL mode with synchronous=FULL: a command is answered when its events are on the disk. \
                  The views beside it (*.views.db) can be deleted: they are made again.\n\n\
                  ANNALS_STORE names the store, ANNALS_LOG what is logged to stderr (warn, info, \
                  debug), ANNALS_LOG_FORMAT=json as JSON.",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
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
    View(view::View),
    Projections(projections::Projections),
    Events(events::Events),
    Check(check::Check),
    Backup(backup::Backup),
    #[cfg(feature = "postgres")]
    Migrate(migrate::Migrate),
    #[cfg(feature = "http")]
    Serve(serve::Serve),
}

/// How a subcommand needs the application opened.
#[derive(Clone, Copy)]
enum Open {
    /// Make the store if it is not there.
    ToWrite,
    /// An existing store, with the projections brought up to the log.
    ToRead,
    /// An existing store as it lies there.
    AsItIs,
}

impl App {
    /// Adds a subcommand to the command line. It is handed the application, to be opened on the store that `--store`
    /// names.
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
        F: FnOnce(Opening, ArgMatches) -> R + Send + 'static,
        R: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.subcommands
            .push(Subcommand { command, run: Box::new(|opening, matches| run(opening, matches).boxed()) });
        self
    }

    /// The whole command line: reads the arguments, does what they say, and answers with the exit code, which is 0
    /// only on success, and 77 when the authoriser denied it. Errors and logs go to stderr.
    pub async fn main(self) -> ExitCode {
        self.main_with(std::env::args_os()).await
    }

    /// The same with these arguments, the program's name first.
    pub async fn main_with<T: Into<std::ffi::OsString> + Clone>(
        self,
        arguments: impl IntoIterator<Item = T>,
    ) -> ExitCode {
        let matches = match self.command_line().try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) => {
                let text = error.render().to_string();
                // An argument that is repeated may be a URL with a password. Help goes to stdout; the URLs in it are examples.
                let hidden = redact_urls(&text);
                if hidden == text || !error.use_stderr() {
                    let _ = error.print();
                } else {
                    stderr::say(hidden.trim_end());
                }
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            }
        };
        let done = self.run(matches).await;
        stderr::flush().await;
        match done {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads our output has read enough.
            Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
            Err(error) => {
                stderr::say(format_args!("error: {}", output::lines(&error_chain(&*error))));
                if is_denied(&*error) { ExitCode::from(DENIED) } else { ExitCode::FAILURE }
            }
        }
    }

    fn command_line(&self) -> clap::Command {
        let store = StoreArgs::augment_args(clap::Command::new("store"));
        let store: Vec<clap::Arg> = store.get_arguments().cloned().collect();
        Cli::command()
            .name(self.name)
            .bin_name(self.name)
            .subcommands(self.subcommands.iter().map(|own| own.command.clone().args(store.clone())))
    }

    /// Does what is said, and logs meanwhile.
    #[cfg(feature = "telemetry")]
    async fn run(self, matches: ArgMatches) -> Result<(), BoxError> {
        let telemetry = telemetry::Telemetry::of(&matches, self.name)?;
        logs::to_stderr(telemetry.as_ref().map(telemetry::Telemetry::layer))?;
        let done = self.dispatch(matches).await;
        if let Some(telemetry) = telemetry {
            telemetry.end().await;
        }
        done
    }

    /// Does what is said, and logs meanwhile.
    #[cfg(not(feature = "telemetry"))]
    async fn run(self, matches: ArgMatches) -> Result<(), BoxError> {
        logs::to_stderr(None)?;
        self.dispatch(matches).await
    }

    async fn dispatch(mut self, matches: ArgMatches) -> Result<(), BoxError> {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        if let Some(index) = self.subcommands.iter().position(|own| own.command.get_name() == name) {
            let own = self.subcommands.swap_remove(index);
            let Some((_, matches)) = matches.subcommand() else { return Ok(()) };
            let store = StoreArgs::from_arg_matches(matches)?;
            let opened = Arc::new(OnceLock::new());
            let opening = Opening { url: self.url(&store), app: self, opened: opened.clone() };
            let done = (own.run)(opening, matches.clone()).await;
            if let Some(annals) = opened.get() {
                annals.close().await;
            }
            return done;
        }
        match Cli::from_arg_matches(&matches)?.command {
            Builtin::Execute(command) => command.run(self).await,
            Builtin::Commands(command) => command.run(&self),
            Builtin::Audit(command) => command.run(self).await,
            Builtin::Metrics(command) => command.run(self).await,
            Builtin::Export(command) => command.run(self).await,
            Builtin::Lineage(command) => command.run(self).await,
            Builtin::View(command) => command.run(self).await,
            Builtin::Projections(command) => command.run(self).await,
            Builtin::Events(command) => command.run(self).await,
            Builtin::Check(command) => command.run(self).await,
            Builtin::Backup(command) => command.run(self).await,
            #[cfg(feature = "postgres")]
            Builtin::Migrate(command) => command.run(self).await,
            #[cfg(feature = "http")]
            Builtin::Serve(command) => command.run(self).await,
        }
    }

    fn url(&self, store: &StoreArgs) -> String {
        store.store.clone().unwrap_or_else(|| format!("sqlite://{}.db", self.name))
    }

    /// Opens the application, does something with it, and closes it whatever came of that.
    async fn with<R>(
        self,
        store: &StoreArgs,
        open: (bool, bool),
        run: impl FnOnce(Annals) -> R,
    ) -> Result<(), BoxError>
    where
        R: Future<Output = Result<(), BoxError>>,
    {
        let url = self.url(store);
        let (create, follow) = open;
        let annals = self.open_with(&url, create, follow).await?;
        let done = run(annals.clone()).await;
        annals.close().await;
        done
    }
}

impl Open {
    /// Whether to make the store, and whether the projections follow the log.
    fn flags(self) -> (bool, bool) {
        match self {
            Self::ToWrite => (true, false),
            Self::ToRead => (false, true),
            Self::AsItIs => (false, false),
        }
    }
}

/// Waits until the projection has taken in all that is in the log now.
async fn caught_up(annals: &Annals, projection: &str) -> Result<(), BoxError> {
    let head = annals.store().head().await?;
    Ok(annals.reading(projection)?.caught_up(head, None).await?)
}

fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ExecuteError::<Refusal>::Denied { .. }))
        || matches!(error.downcast_ref(), Some(ReaderError::Denied(_)))
        || matches!(error.downcast_ref(), Some(LineageError::Reader(ReaderError::Denied(_))))
        || matches!(error.downcast_ref(), Some(AuditError::Denied { .. }))
        || matches!(error.downcast_ref(), Some(ExportError::Audit(AuditError::Denied { .. })))
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(this) = error {
        if this.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
            return true;
        }
        error = this.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store's URL may hold a password, and help is printed into logs.
    #[test]
    fn help_does_not_show_the_value_of_the_variable_that_names_the_store() {
        let store = StoreArgs::augment_args(clap::Command::new("store"));
        let shown: Vec<_> = store.get_arguments().filter(|argument| !argument.is_hide_env_values_set()).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }

    #[tokio::test]
    async fn an_opening_does_not_show_a_password() {
        let url = "postgres://alice:s3cret@host/data".to_owned();
        let opening = Opening { app: App::new("demo"), url, opened: Arc::default() };
        let text = format!("{opening:?}");
        assert!(text.contains("host/data") && !text.contains("s3cret"), "{text}");
    }
}
