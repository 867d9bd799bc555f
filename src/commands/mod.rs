//! Commands: the only door through which anything changes.
//!
//! ## Layout
//! - `command`: the [`Command`] and [`Handle`] traits
//! - `scope`: [`Scope`], which aggregates a command is decided on
//! - `context`: [`Context`], who asks, for whom, why, when
//! - `canonical`: the form of a command's body that its digest is made of
//! - `erased`: commands behind a pointer, and [`Envelope`], a command with its context
//! - `error`: [`ExecuteError`]
//! - `access`: who decides, before anything is loaded, whether a command may come in
//! - `received`: a command with its id, before anything is asked or loaded
//! - `known`: whether a command id that a caller gave was used before
//! - `own`: ids of the crate's own commands, which callers' ids are refused from
//! - `engine`: load, decide, append, retry
//! - `pipeline`: many commands in order, without waiting for each
//! - `cqrs`: commands for cqrs-es's test framework
//! - `registry`: commands by name, for callers that have only JSON

mod access;
mod canonical;
mod command;
mod context;
mod cqrs;
mod engine;
mod erased;
mod error;
mod known;
pub(crate) mod own;
mod pipeline;
mod received;
mod registry;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use access::CommandAccess;
pub use command::{Command, EventsOf, Handle, ViewOf};
pub use context::Context;
pub(crate) use engine::Engine;
pub(crate) use erased::AnyCommand;
pub use erased::Envelope;
pub(crate) use erased::Undecided;
pub use error::{ExecuteError, ParseError, Refusal};
pub(crate) use pipeline::execute_all;
pub use registry::CommandInfo;
pub(crate) use registry::Registry;
pub use scope::Scope;
pub(crate) use scope::{Members, encode};
