//! Aggregates: the state that decisions need, folded from events.
//!
//! ## Layout
//! - `aggregate`: the [`Aggregate`] trait, and [`Loaded`]: an aggregate's state, id and sequence
//! - `circumstances`: [`Circumstances`], who caused an event, and when
//! - `aggregate_type`: [`AggregateType`], an aggregate type with its Rust type erased
//! - `repository`: loads states from the store
//! - `state_fold`: folds a state from events of the log
//! - `past`: loads states of the past
//! - `snapshot_writer`: writes snapshots of such states in the background
//! - `verify`: compares the stored snapshots with the log

mod aggregate;
mod aggregate_type;
mod circumstances;
mod past;
mod repository;
mod snapshot_writer;
mod state_fold;
#[cfg(all(test, feature = "conformance", feature = "sqlite", feature = "postgres"))]
mod tests;
mod verify;

pub use aggregate::{Aggregate, Loaded};
pub use aggregate_type::AggregateType;
pub(crate) use aggregate_type::{AnyState, ErasedAggregateType};
pub use circumstances::Circumstances;
#[cfg(feature = "http")]
pub(crate) use past::Version;
pub use repository::LoadError;
use repository::{PAGE, more_may_follow};
pub(crate) use repository::{Repository, fold};
pub(crate) use verify::{drop_snapshots, verify_snapshots};
