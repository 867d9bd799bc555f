//! Reactions: what an event leads to. A [`Reaction`] says which commands follow an event, at once or later, and each of them takes
//! effect once.
//!
//! The log is the only memory. What is still to be done is a projection: the steps of each event, without those whose command id is in
//! the log. A task of the process that leads the projection executes them, with command ids that are derived from event and step.
//! A rebuild makes the same list again, and fires nothing; after a restored backup the list has what the log no longer has.
//!
//! ## Layout
//! - `reaction`: the [`Reaction`] trait, and [`Then`], the steps that follow an event
//! - `erased`: a reaction with its type erased
//! - `record`: the aggregate of a reaction: its start, and the steps that had no other effect
//! - `commands`: the commands on it
//! - `delivery`: a step's command, decided together with the record
//! - `steps`: a step that is to be done, as a row
//! - `pending`: the projection of these steps
//! - `folding`: folds a batch of events into it
//! - `executor`: the task that executes the steps that are due
//! - `queue`: which steps are due, in order per aggregate
//! - `replay`: executes a step after all that was refused or skipped
//! - `step_error`: why an operator could not skip or replay a step
//! - `listing`: pages of the steps that are to be done
//! - `status`: what a reaction is doing

mod commands;
mod delivery;
mod erased;
mod executor;
mod folding;
mod listing;
mod pending;
mod queue;
mod reaction;
mod record;
mod replay;
mod status;
mod step_error;
mod steps;

pub use commands::SkipStep;
pub(crate) use commands::StartReaction;
pub(crate) use erased::{AnyReaction, erased};
pub(crate) use executor::Executor;
pub use listing::{PendingCursor, PendingPage, PendingQuery, PendingStep};
pub(crate) use pending::{PendingSteps, projection_name};
pub use reaction::{MAX_DEPTH, Reaction, Since, Then};
pub use record::{ReactionEvent, ReactionId, ReactionRecord};
pub use replay::Replay;
pub use status::{BlockedAggregate, ParkedAggregate, ReactionStatus};
#[cfg(feature = "http")]
pub(crate) use step_error::MAX_WHY_BYTES;
pub use step_error::StepError;
pub(crate) use step_error::check_why;
