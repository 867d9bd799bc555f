//! `man`: manual pages.

use clap::Args;

use super::output;
use crate::BoxError;
use crate::app::App;

/// Print the manual page of the program or of a subcommand
#[derive(Args)]
#[command(after_help = "Examples:\n  $ man > PROGRAM.1\n  $ man projections rebuild | man -l -")]
pub(super) struct Man {
    /// The subcommand
    #[arg(value_name = "SUBCOMMAND")]
    path: Vec<String>,
}

impl Man {
    pub(super) fn run(self, app: &App) -> Result<(), BoxError> {
        let mut whole = app.command_line();
        whole.build();
        let mut command = &whole;
        for name in &self.path {
            command = command
                .find_subcommand(name)
                .ok_or_else(|| format!("there is no subcommand `{name}`: see `{} --help`", command.get_name()))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        output::bytes(&page)
    }
}
