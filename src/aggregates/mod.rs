//! Aggregates: what decisions need to know, folded from events.
//!
//! ## Layout
//! - `aggregate`: the [`Aggregate`] trait and [`Loaded`], its state with id and sequence
//! - `kind`: [`Kind`], an aggregate type behind a pointer: how the engine folds and keeps states it cannot name
//! - `cache`: states kept in memory between commands
//! - `repository`: cache, then snapshot, then store
//! - `cqrs`: [`Cqrs`], the bridge to cqrs-es

mod aggregate;
mod cache;
mod cqrs;
mod kind;
mod repository;

pub use aggregate::{Aggregate, Loaded};
pub(crate) use cache::{Cache, Entry};
pub use cqrs::{Cqrs, Decide};
pub use kind::Kind;
pub(crate) use kind::{AnyAggregate, State};
pub(crate) use repository::{LoadError, Repository, fold};
