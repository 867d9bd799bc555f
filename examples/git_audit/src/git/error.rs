//! [`GitError`].

use std::io;
use std::path::PathBuf;

/// Why a repository's history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git`.
    #[error("`git` cannot be run: install it, and see that it is in the PATH")]
    NoGit(#[source] io::Error),
    /// The path is in no repository, or in one that git does not want to touch.
    #[error("`{}` is not a git repository that can be read: {said}", .path.display())]
    NotARepository {
        /// What was given.
        path: PathBuf,
        /// What git says.
        said: String,
    },
    /// There is nothing to read.
    #[error("the repository `{}` has no commits: HEAD names none", .0.display())]
    NoCommits(PathBuf),
    /// A part of the history is missing.
    #[error(
        "the repository `{}` is a shallow clone: its history is not all there; fetch the rest with \
         `git fetch --unshallow`",
        .0.display()
    )]
    Shallow(PathBuf),
    /// `git` gave up.
    #[error("`git {command}` failed ({status}): {said}")]
    Failed {
        /// The subcommand.
        command: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it says.
        said: String,
    },
    /// What `git` prints could not be read.
    #[error("reading from git failed")]
    Io(#[from] io::Error),
    /// `git` printed something else than it was asked for.
    #[error("git printed {found:?} where {wanted} was due (after commit {after}): is this version of git too old?")]
    Unexpected {
        /// What was printed.
        found: String,
        /// What was due.
        wanted: &'static str,
        /// The last commit that was read.
        after: String,
    },
}
