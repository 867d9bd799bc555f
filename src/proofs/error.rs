//! [`ProofError`].

use std::io;
use std::path::PathBuf;

use super::{InvalidCheckpoint, InvalidLeaf, ProofKeyError};
use crate::projections::ReadError;
use crate::store::StoreError;

/// The tree cannot be read, or no checkpoint can be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The application keeps no proofs.
    #[error("the application keeps no proofs: turn them on with `App::proofs`")]
    Off,
    /// No checkpoint was published yet.
    #[error(
        "no checkpoint was signed yet: make a key with `proofs init`, then sign with `proofs checkpoint` or `serve --proofs-key`"
    )]
    NoCheckpoint,
    /// The last checkpoint does not cover the position.
    #[error(
        "event {position} is not covered by the last checkpoint, which covers {size}: wait for the next one, or ask for one of 1 to {size}"
    )]
    NotCovered {
        /// The position.
        position: u64,
        /// The size of the last checkpoint.
        size: u64,
    },
    /// The tree has not reached the log.
    #[error(
        "the tree has {tree} of {wanted} events: wait until the projection `proofs` has caught up (`projections status`)"
    )]
    Behind {
        /// The size of the tree.
        tree: u64,
        /// The size that is needed.
        wanted: u64,
    },
    /// The log does not continue from the checkpoint that was given when it was opened.
    #[error(
        "the log does not continue from the checkpoint of {size} events that was given ({how}): was an older backup restored, or is it \
         another log? `check --checkpoint` compares each event"
    )]
    NotContinued {
        /// The size of the checkpoint.
        size: u64,
        /// How the log differs.
        how: String,
    },
    /// The log contradicts the last checkpoint that was signed.
    #[error(
        "nothing is signed: the log contradicts the checkpoint of {size} events that was signed before ({how}). Find out why with \
         `check`: was an older backup restored, or the log changed? If the log is to go on as it is, begin a log of another name, which \
         names the old one: `proofs fork`"
    )]
    Forked {
        /// The size of the checkpoint.
        size: u64,
        /// How it is contradicted.
        how: String,
    },
    /// The store is a copy that can only be read.
    #[error("nothing is signed: the store can only be read here; sign where commands are executed")]
    ReadOnly,
    /// A tile of the projection is missing or too short.
    #[error("the tile {0} is missing or too short: `projections rebuild proofs`")]
    Damaged(String),
    /// An event that the tree covers is not in the log.
    #[error("event {0} is in the tree and not in the log: run `check`")]
    NoEvent(u64),
    /// An event has no leaf.
    #[error(transparent)]
    Leaf(#[from] InvalidLeaf),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] ProofKeyError),
    /// The published checkpoint cannot be read.
    #[error("the published checkpoint cannot be read: sign again with `proofs checkpoint`")]
    Published(#[source] InvalidCheckpoint),
    /// A folder of proofs cannot be read or written.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder has something else.
    #[error("{} has something else than the proofs of {origin}: name an empty folder, or that of an earlier export of this log", path.display())]
    OtherFolder {
        /// The folder.
        path: PathBuf,
        /// The name of the log.
        origin: String,
    },
    /// Access control denied it. Nothing was read.
    #[error("denied: {0}")]
    Denied(String),
    /// The projection cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of this program ended early.
    #[error("a task ended early")]
    Task(#[from] tokio::task::JoinError),
}
