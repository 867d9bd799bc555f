//! [`ImportError`].

use annals::BoxError;
use annals::commands::{ExecuteError, Refusal};

use crate::git::GitError;

/// Why an import ended early. What was imported until then stays; importing again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The history could not be read, or not to its end.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store holds another history.
    #[error(
        "the store ends with commit {commit}, which is not in the first-parent history of `{repository}`: it was filled \
         from another repository or branch, or the history was rewritten; name another store with --store"
    )]
    OtherHistory {
        /// The commit of the store's last event.
        commit: String,
        /// The repository that was to be imported.
        repository: String,
    },
    /// A row of a commit was not accepted.
    #[error("commit {commit}, path `{}`: not accepted; the import stopped there", annals::cli::plain(.path))]
    NotAccepted {
        /// The commit.
        commit: String,
        /// The path, as [`text`](crate::git::text::text).
        path: String,
        /// Why.
        source: ExecuteError<Refusal>,
    },
    /// The store could not be read.
    #[error("the end of the log could not be read")]
    Log(#[source] BoxError),
}
