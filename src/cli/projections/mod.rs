//! `projections`: how far each is, making one anew, and what to do when one stopped.
//!
//! ## Layout
//! - `status`: how far each is
//! - `rebuild`: making them anew
//! - `repair`: `resume`, `skip`, `letters`, `replay`, `prune`

mod rebuild;
mod repair;
mod status;

use clap::{Args, Subcommand};

use super::Open;
use crate::BoxError;
use crate::app::App;

/// Show how far each projection is, make one anew, and help on one that stopped
#[derive(Args)]
#[command(after_help = "Examples:\n  projections status\n  projections rebuild roster\n  \
    projections rebuild roster --key 7\n  projections rebuild --all\n\n\
    When one has stopped: `status` says at which event and why. Mend the cause, then `resume` it. Where the event \
    cannot be taken in for now, `skip` it: the others go on, it is kept among the `letters`, and `replay` takes it in \
    when the program is mended.")]
pub(super) struct Projections {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    Status(status::Status),
    Rebuild(rebuild::Rebuild),
    Resume(repair::Resume),
    Skip(repair::Skip),
    Letters(repair::Letters),
    Replay(repair::Replay),
    Prune(repair::Prune),
}

/// Opens the application as `$open` says and runs the subcommand on it.
macro_rules! run {
    ($app:expr, $command:expr, $open:expr) => {{
        let (command, store) = ($command, $command.store.clone());
        $app.with(&store, $open.flags(), |annals| async move { command.run(&annals).await }).await
    }};
}

impl Projections {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        match &self.command {
            What::Status(status) => run!(app, status, Open::AsItIs),
            What::Rebuild(rebuild) => run!(app, rebuild, Open::AsItIs),
            What::Resume(resume) => run!(app, resume, Open::ToRead),
            What::Skip(skip) => run!(app, skip, Open::AsItIs),
            What::Letters(letters) => run!(app, letters, Open::AsItIs),
            What::Replay(replay) => run!(app, replay, Open::AsItIs),
            What::Prune(prune) => run!(app, prune, Open::AsItIs),
        }
    }
}
