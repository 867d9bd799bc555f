//! [`ImportError`].

use annals::BoxError;
use annals::commands::{ExecuteError, Refusal};

use crate::git::GitError;

/// An error that ended an import. Earlier commits stay imported; another import continues after them.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The history could not be read to its end.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store contains another history.
    #[error(
        "the last commit of the store, {commit}, is not in the first-parent history of `{repository}`: the store belongs to \
         another repository or branch, or the history was rewritten; use another store with --store"
    )]
    OtherHistory {
        /// The commit of the last event of the store.
        commit: String,
        /// The repository.
        repository: String,
    },
    /// A command was not accepted.
    #[error("commit {commit}, path `{}`: the command was not accepted; the import stopped here", annals::cli::plain(.path))]
    NotAccepted {
        /// The commit.
        commit: String,
        /// The path, as [`text`](crate::git::text::text).
        path: String,
        /// The error of the command.
        source: ExecuteError<Refusal>,
    },
    /// The store could not be read.
    #[error("cannot read the end of the log")]
    Log(#[source] BoxError),
}
