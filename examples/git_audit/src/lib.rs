//! Any git repository's history through the write path: each changed path of each commit is one typed command.
//!
//! ## Layout
//! - [`git`]: reading a repository
//! - [`files`]: the domain: what can happen to a file, the commands, and the views
//! - [`import`]: the history, turned into commands and executed in order
//! - [`summary`]: what is printed at the end
//! - [`command_line`]: `import` and `summary`
//!
//! The log of an import says what `git log --first-parent --name-status` says, with an author, a time, a sentence and a
//! topic to each row; the [`Tree`](files::Tree) view holds what `git ls-tree -r HEAD` prints.

pub mod command_line;
pub mod files;
pub mod git;
pub mod import;
pub mod summary;

use annals::prelude::*;

/// The application: its commands, its views, and its part of the command line.
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
        .view::<files::Directories>();
    command_line::on(app)
}
