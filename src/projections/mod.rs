//! Projections: tables derived from the log for readers, rebuilt from it on demand.
//!
//! ## Layout
//! - `projection`, `fold`, `basis`: the [`Projection`] trait, folding in memory, and the declarations behind its
//!   rows
//! - `engine`: keeps all projections up with the log, and reads, rebuilds and repairs them
//! - `documents`: [`DocumentView`], JSON documents by key, and their queries
//! - `audit`, `export`: the audit log, and its export in other formats
//! - `flows`: what flows from where through whose hands to where
//! - `provenance`: what things are made of, and what came of them
//! - `metrics`, `display_names`, `presenter`: counts by topic, display names, and events as sentences
//! - `following`: [`FollowRight`], the right to follow something live
//! - `range_bound`, `query_error`: start and end of a range, and invalid queries
//! - `dictionary`: numbers in place of names
//! - `fingerprint`, `indexed_text`: versions derived from declarations, and text of any length in an index

pub mod audit;
mod basis;
mod dictionary;
pub mod display_names;
mod documents;
mod engine;
#[cfg(feature = "export")]
pub mod export;
mod fingerprint;
pub mod flows;
mod fold;
mod following;
mod indexed_text;
pub mod metrics;
pub mod presenter;
mod projection;
pub mod provenance;
mod query_error;
mod range_bound;

#[cfg(test)]
pub(crate) mod tests;

pub use basis::Basis;
pub use documents::{
    DocumentView, Documents, EventSet, Field, FieldInfo, FieldKind, FieldValue, JsonView, Listing, On, OneOf,
    ValueCount, ViewAt, ViewCounts, ViewCursor, ViewFilterParams, ViewKey, ViewList, ViewPage, ViewQuery, Watched,
};
pub(crate) use engine::Projections;
pub use engine::{
    DeadLetter, Progress, ProjectionState, ProjectionStatus, ReadError, Reading, Rebuild, RebuildError,
    RepairError, Selection, SkipPolicy, StartError, StopInfo, UnknownEvent, UnusedVersion,
};
pub use fingerprint::fingerprint;
pub use fold::{Fold, FoldBase, KeyFilter};
pub use following::{FollowEnd, FollowRight};
pub use projection::{EventBatch, Projection, ProjectionError};
pub use query_error::QueryError;
pub use range_bound::{InvalidRangeBound, RangeBound};
