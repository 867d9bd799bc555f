//! [`GitError`].

use std::io;
use std::path::PathBuf;

/// An error while reading the history of a repository.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` cannot be started.
    #[error("cannot run `git`: install it, or add it to PATH")]
    NoGit(#[source] io::Error),
    /// The path is not in a repository, or git refuses to read it.
    #[error("`{}` is not a git repository that can be read: {stderr}", .path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// What git printed to stderr.
        stderr: String,
    },
    /// The repository has no commits.
    #[error("the repository `{}` has no commits", .0.display())]
    NoCommits(PathBuf),
    /// The repository is a shallow clone.
    #[error(
        "the repository `{}` is a shallow clone, without its whole history: run `git fetch --unshallow`",
        .0.display()
    )]
    Shallow(PathBuf),
    /// `git` failed.
    #[error("`git {command}` failed ({status}): {stderr}")]
    Failed {
        /// The subcommand.
        command: &'static str,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What git printed to stderr.
        stderr: String,
    },
    /// The output of `git` cannot be read.
    #[error("cannot read the output of git")]
    Io(#[from] io::Error),
    /// `git` printed unexpected output.
    #[error(
        "git printed {found:?} instead of {expected} (after commit {after}): this version of git may be too old"
    )]
    Unexpected {
        /// The output.
        found: String,
        /// The expected output.
        expected: &'static str,
        /// The last commit that was read before.
        after: String,
    },
}
