//! Imports the history of a git repository: each changed path of each commit becomes one command.
//!
//! ## Layout
//! - `git`: reads a repository
//! - `files`: the domain: events, commands and views of files
//! - `import`: translates the history into commands and executes them in order
//! - `summary`: prints the latest events, the most active actors and the busiest directories
//! - `command_line`: the subcommands `import` and `summary`
//!
//! After an import, the log has one event for each row of `git log --first-parent --name-status`, with an author, a time, a
//! sentence and a topic. The keys of the view [`Tree`](files::Tree) are the paths that `git ls-tree -r HEAD` prints.

pub mod command_line;
pub mod files;
pub mod git;
pub mod import;
pub mod summary;

use annals::prelude::*;
use annals::projections::provenance::Agents;

/// The application: its commands, views and subcommands.
#[must_use]
pub fn app() -> App {
    let app = App::new("git_audit")
        .command::<files::AddFile>()
        .command::<files::ChangeFile>()
        .command::<files::DeleteFile>()
        .command::<files::RenameFile>()
        .command::<files::CopyFile>()
        .command::<files::ChangeFileType>()
        .view::<files::Tree>()
        .view::<files::Actors>()
        .view::<files::Directories>()
        .metrics_by_occurrence()
        // A file is made of the file that it was renamed or copied from.
        .provenance(Agents::default());
    command_line::add_to(app)
}
