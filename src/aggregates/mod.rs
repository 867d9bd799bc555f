//! Aggregates: what decisions need to know, folded from events.
//!
//! ## Layout
//! - `aggregate`: the [`Aggregate`] trait and [`Loaded`], its state with id and sequence
//! - `kind`: [`Kind`], an aggregate type behind a pointer: how the engine folds and keeps states it cannot name
//! - `cache`: states kept in memory between commands
//! - `repository`: cache, then snapshot, then store
//! - `folding`: a state folded from rows of the log; `keeper`: makes snapshots of such states in the background
//! - `verify`: compares the stored snapshots with the log
//! - `cqrs`: [`Cqrs`], the bridge to cqrs-es

mod aggregate;
mod cache;
mod cqrs;
mod folding;
mod keeper;
mod kind;
mod repository;
#[cfg(all(test, feature = "conformance", feature = "sqlite", feature = "postgres"))]
mod tests;
mod verify;

pub use aggregate::{Aggregate, Loaded};
pub(crate) use cache::{Cache, Entry};
pub use cqrs::{Cqrs, Decide};
pub use kind::Kind;
pub(crate) use kind::{AnyAggregate, State};
use repository::PAGE;
pub(crate) use repository::{LoadError, Repository, fold};
pub(crate) use verify::verify_snapshots;
