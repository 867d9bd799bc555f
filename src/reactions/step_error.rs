//! [`StepError`]: why an operator could not skip or replay a step.

use uuid::Uuid;

use crate::aggregates::LoadError;
use crate::commands::{ExecuteError, Refusal};
use crate::projections::ReadError;
use crate::store::StoreError;

/// The longest reason of a skip or a replay, in bytes.
pub(crate) const MAX_WHY_BYTES: usize = 1_000;

/// Checks the reason of a skip or a replay.
pub(crate) fn check_why(why: &str) -> Result<(), StepError> {
    if why.trim().is_empty() || why.len() > MAX_WHY_BYTES { Err(StepError::Why) } else { Ok(()) }
}

/// An error when a step is skipped or replayed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The step is not pending: it was done or cancelled, or never existed.
    #[error("the step {0} is not pending: `reactions pending` lists those that are")]
    Unknown(Uuid),
    /// The step was done, skipped or replayed meanwhile.
    #[error("the step {0} was done or skipped meanwhile")]
    Done(Uuid),
    /// The step to replay was neither refused nor skipped by this reaction: it is pending, took effect, or never existed.
    #[error("the step {0} was neither refused nor skipped by this reaction, so it cannot be replayed")]
    NotRefused(Uuid),
    /// The reaction of this program no longer says that this step follows the event.
    #[error(
        "the step {step} follows no more from event {position}: the reaction was changed; execute the command yourself"
    )]
    NoLonger {
        /// The step.
        step: Uuid,
        /// The position of the event that led to it.
        position: u64,
    },
    /// The command of the step cannot be made: the reaction panicked, or the command is not as the program reads it.
    #[error("the command of the step cannot be made: {0}")]
    Command(String),
    /// There is no reason, or it is too long.
    #[error("say why, in at most {MAX_WHY_BYTES} bytes")]
    Why,
    /// The reaction or its steps cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The aggregate cannot be loaded as it was at the event.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It was not executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError<Refusal>),
}
