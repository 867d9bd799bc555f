//! Projections: everything anybody reads, made from the log, and rebuilt from it on demand.
//!
//! ## Layout
//! - `projection`: the [`Projection`] trait and [`EventBatch`]
//! - `document`, `event_set`: [`DocumentView`], JSON documents by key, and the events they are made of
//! - `documents`: [`Documents`], the projection that keeps them; `query` reads them
//! - `reading`: [`Reading`], how any projection is read
//! - `engine`: all projections of an open application
//! - `tracked`: what its tasks share: how far each projection is
//! - `reader`: one reader that follows the log's head and shares what it reads
//! - `runner`: keeps one projection up with the log
//! - `write`: a batch and its checkpoint in one transaction, and what is done when that fails
//! - `rebuild`: makes a projection anew beside the live one, then switches
//! - `status`: how far each is, and why it stopped
//! - `bound`, `question`, `fingerprint`, `moves`: what the built-in ones share
//! - `export`: the audit log in other formats
//! - `audit`, `presenter`, `names`, `metrics`: the built-in ones, on the public traits alone

pub mod audit;
mod bound;
mod document;
mod documents;
mod engine;
mod event_set;
#[cfg(feature = "export")]
pub mod export;
mod fingerprint;
pub mod metrics;
mod moves;
pub mod names;
pub mod presenter;
mod projection;
mod query;
mod question;
mod reader;
mod reading;
mod rebuild;
mod runner;
mod status;
mod tracked;
mod write;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use bound::{Bound, InvalidBound};
pub use document::{DocumentView, On, ViewKey};
pub use documents::Documents;
pub(crate) use engine::Projections;
pub use engine::StartError;
pub use event_set::{EventSet, OneOf};
pub use fingerprint::fingerprint;
pub use projection::{EventBatch, Projection, ProjectionError};
pub use query::{JsonView, ViewList, ViewPage, ViewQuery};
pub use question::QueryError;
pub use reading::{ReadError, Reading};
pub use rebuild::{Progress, Rebuild, RebuildError};
pub use status::{ProjectionState, ProjectionStatus, Stop};
