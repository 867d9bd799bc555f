//! `completions`: completion scripts for shells.

use clap::Args;
use clap_complete::Shell;

use super::output;
use crate::BoxError;
use crate::app::App;

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = "Examples:\n  $ completions bash > ~/.local/share/bash-completion/completions/PROGRAM\n  \
    $ completions zsh > ~/.zfunc/_PROGRAM\n  $ completions fish > ~/.config/fish/completions/PROGRAM.fish\n\n\
    The script completes subcommands, commands, their fields, and options. PROGRAM is the name of this program.")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, app: &App) -> Result<(), BoxError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut app.command_line(), app.name, &mut script);
        output::bytes(&script)
    }
}
