//! [`IntakeError`].

use crate::aggregates::LoadError;
use crate::commands::{ExecuteError, Refusal};
use crate::store::StoreError;
use crate::text::name_list;

/// The longest reason of an operator, in bytes.
const MAX_WHY_BYTES: usize = 1_000;

/// Checks the reason of an operator.
pub(crate) fn check_why(why: &str) -> Result<(), IntakeError> {
    if why.trim().is_empty() || why.len() > MAX_WHY_BYTES { Err(IntakeError::Why) } else { Ok(()) }
}

/// An error when an intake is asked for or operated.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The application has no such intake.
    #[error("there is no intake `{name}`: there are {}", name_list(.known))]
    Unknown {
        /// The name in the request.
        name: String,
        /// The names of the application's intakes.
        known: Vec<String>,
    },
    /// There is no reason, or it is too long.
    #[error("say why, in at most {MAX_WHY_BYTES} bytes")]
    Why,
    /// The event is no dead letter of this intake.
    #[error(
        "event {0} is no dead letter of this intake: the audit log lists those of type `annals_intake.dead_lettered`"
    )]
    NoDeadLetter(u64),
    /// The log has only the beginning of the message.
    #[error(
        "the log has only the beginning of the message at event {0}, which was too large: let it be published again"
    )]
    NotWhole(u64),
    /// The intake takes no messages over HTTP.
    #[error("the intake `{0}` takes no messages over HTTP")]
    NotOverHttp(String),
    /// The intake is paused.
    #[error("the intake is paused: {0}")]
    Paused(String),
    /// A message cannot be read.
    #[error("the message cannot be read: {0}")]
    Message(String),
    /// The message still cannot be read.
    #[error("the message at event {position} still cannot be read: {reason}")]
    Unreadable {
        /// The position of the dead letter.
        position: u64,
        /// Why.
        reason: String,
    },
    /// The dead letter was replayed before.
    #[error("the dead letter at event {0} was replayed before")]
    Done(u64),
    /// The record of the intake cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError<Refusal>),
}
