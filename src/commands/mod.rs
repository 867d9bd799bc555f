//! Commands: the only way to change anything.
//!
//! A command is received (id and digest), looked up by its id, admitted by access control, prepared, and then decided on
//! the states of its aggregates. The commit goes to the `CommitQueue`, whose writer task appends it with others.
//!
//! ## Layout
//! - `command`: the [`Command`] and [`Handle`] traits
//! - `scope`: [`Scope`], the aggregates that a command is decided on
//! - `member`: one of them during a decision
//! - `services`: [`Services`], which `prepare` and the authoriser may call
//! - `prepare_context`: [`PrepareContext`], what `prepare` gets
//! - `context`: [`Context`], a command's actor, principal, command id, correlation, time
//! - `canonical`: the canonical form of a command's body, the input of its digest
//! - `personal_body`: the body of a command with personal fields, as its digest counts it
//! - `subject`: [`SubjectRecord`], what the log says about the erasure of a subject
//! - `sealing`: decides with the keys of subjects at hand
//! - `erased`: commands with their type erased, and [`Envelope`], a command with its context
//! - `error`: [`ExecuteError`]
//! - `access`: `CommandAccess`, access control for commands, and the aggregates that it decides on
//! - `admission`: asks access control
//! - `received`: a command with its id, before access control and loading
//! - `command_id_lookup`: finds out whether a command id was used before
//! - `internal_id`: command ids of the crate's internal commands
//! - `engine`: `Engine`, which loads, decides, appends and retries
//! - `prepared`: a command that is ready to be decided
//! - `locked`: the last attempt, under the log's write lock
//! - `slow_decisions`: finds handlers that block the runtime
//! - `commit_queue`: `CommitQueue`, group commit
//! - `state_cache`: the states that the queue keeps in memory
//! - `writer`: appends the queue's batches to the store
//! - `pipeline`: many commands in order, without waiting for each commit
//! - `registry`: commands by name, for callers that have only JSON

mod access;
mod admission;
mod canonical;
mod command;
mod command_id_lookup;
mod commit_queue;
mod context;
mod engine;
mod erased;
mod error;
pub(crate) mod internal_id;
mod locked;
mod member;
mod personal_body;
mod pipeline;
mod prepare_context;
mod prepared;
mod received;
mod registry;
mod scope;
mod sealing;
mod services;
mod slow_decisions;
mod state_cache;
pub(crate) mod subject;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use access::{AccessLoads, CommandAccess, TRY_AGAIN};
pub use command::{Command, EventsOf, Handle, ViewOf};
pub(crate) use commit_queue::{CommitAnswer, CommitQueue};
pub use context::Context;
pub(crate) use engine::Engine;
pub(crate) use erased::AnyCommand;
pub use erased::Envelope;
pub(crate) use erased::Undecided;
pub use error::{ExecuteError, ParseError, Refusal};
pub(crate) use member::Member;
pub(crate) use pipeline::execute_all;
pub use prepare_context::PrepareContext;
pub(crate) use prepare_context::missing;
pub(crate) use prepared::MetadataExtras;
pub(crate) use received::unrecorded;
pub use registry::CommandInfo;
pub(crate) use registry::Registry;
pub use scope::Scope;
pub(crate) use scope::{encode, seal};
pub(crate) use services::within;
pub use services::{Needs, ServiceType, Services};
pub use subject::{SubjectEvent, SubjectId, SubjectRecord};
