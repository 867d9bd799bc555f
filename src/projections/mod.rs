//! Projections: everything anybody reads, made from the log, and rebuilt from it on demand.
//!
//! ## Layout
//! - `projection`: the [`Projection`] trait and [`EventBatch`]
//! - `document`, `event_set`: [`DocumentView`], JSON documents by key, and the events they are made of
//! - `documents`: [`Documents`], the projection that keeps them, with its [`Field`]s; `folded`: documents in memory
//! - `stored`: how keys and fields of any text and length are stored
//! - `fold`: [`Fold`], a projection's events folded in memory
//! - `query`: reading a document; `list`: many, by their fields; `watched`: one, live
//! - `reading`: [`Reading`], how any projection is read
//! - `engine`: all projections of an open application
//! - `tracked`: what its tasks share: how far each projection is
//! - `leader`: which of them this process runs, among all processes
//! - `reader`: one reader that follows the log's head and shares what it reads
//! - `runner`: keeps one projection up with the log
//! - `write`: a batch and its checkpoint in one transaction, and what is done when that fails
//! - `letters`: events that were left out, and those that queue behind them
//! - `rebuild`: makes a projection anew beside the live one, then switches
//! - `repair`: leaving events out and taking them in again, dropping what nobody uses
//! - `status`: how far each is, and why it stopped
//! - `basis`: what a projection's rows are made from; `adopt`: going on with what another version of a program made
//! - `bound`, `question`, `fingerprint`, `moves`: what the built-in ones share
//! - `export`: the audit log in other formats
//! - `audit`, `presenter`, `names`, `metrics`: the built-in ones, on the public traits alone

mod adopt;
pub mod audit;
mod basis;
mod bound;
mod document;
mod documents;
mod engine;
mod event_set;
#[cfg(feature = "export")]
pub mod export;
mod field;
mod fingerprint;
mod fold;
mod folded;
mod leader;
mod letters;
mod list;
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
mod repair;
mod runner;
mod status;
mod stored;
mod tracked;
mod watched;
mod write;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use basis::{Basis, KeptTable};
pub use bound::{Bound, InvalidBound};
pub use document::{DocumentView, On, ViewKey};
pub use documents::Documents;
pub(crate) use engine::Projections;
pub use engine::StartError;
pub use event_set::{EventSet, OneOf};
pub use field::{Field, FieldInfo, FieldKind, FieldValue};
pub use fingerprint::fingerprint;
pub use fold::{Fold, Ground, Keys};
pub use letters::DeadLetter;
pub use list::{Listing, ViewCursor, ViewList, ViewPage};
pub use projection::{EventBatch, Projection, ProjectionError};
pub use query::{JsonView, ViewQuery};
pub use question::QueryError;
pub use reading::{ReadError, Reading};
pub use rebuild::{Progress, Rebuild, RebuildError, Selection, Skips};
pub use repair::{RepairError, Unused};
pub use status::{ProjectionState, ProjectionStatus, Stop, Unknown};
pub use watched::Watched;
