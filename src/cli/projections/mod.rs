//! `projections`: the status of projections, rebuilds, and the repair of stopped ones.
//!
//! ## Layout
//! - `status`: `status`
//! - `rebuild`: `rebuild`
//! - `repair`: `resume`, `skip`, `dead-letters`, `replay`, `prune`

mod rebuild;
mod repair;
mod status;

use clap::{Args, Subcommand};

use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;

/// Show the status of projections, rebuild them, repair stopped ones
#[derive(Args)]
#[command(after_help = "Examples:\n  $ projections status\n  $ projections rebuild roster\n  \
    $ projections resume roster\n\n\
    If a projection has stopped, `status` shows at which event and why. Fix the cause, then `resume` it. If the cause cannot be \
    fixed now, `skip` the event: it becomes a dead letter, the projection continues, and `replay` applies the event once the \
    program is fixed.")]
pub(super) struct Projections {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    Status(status::Status),
    Rebuild(rebuild::Rebuild),
    Resume(repair::Resume),
    Skip(repair::Skip),
    DeadLetters(repair::DeadLetters),
    Replay(repair::Replay),
    Prune(repair::Prune),
}

/// Opens the application in the mode `$mode` and runs the subcommand on it.
macro_rules! run {
    ($app:expr, $command:expr, $mode:expr) => {{
        let command = $command;
        $app.with($mode, |session| async move { command.run(&session).await }).await
    }};
}

impl Projections {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_operator()?;
        match &self.command {
            Subcommands::Status(status) => run!(app, status, OpenMode::Inspect),
            Subcommands::Rebuild(rebuild) => run!(app, rebuild, OpenMode::Inspect),
            Subcommands::Resume(resume) => run!(app, resume, OpenMode::Read),
            Subcommands::Skip(skip) => run!(app, skip, OpenMode::Inspect),
            Subcommands::DeadLetters(dead_letters) => run!(app, dead_letters, OpenMode::Inspect),
            Subcommands::Replay(replay) => run!(app, replay, OpenMode::Inspect),
            Subcommands::Prune(prune) => run!(app, prune, OpenMode::Inspect),
        }
    }
}
