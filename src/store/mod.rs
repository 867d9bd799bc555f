//! The store: an ordered, immutable log, and room for what projections make of it.
//!
//! A store is anything that implements [`Store`] and passes the [`conformance`] suite. Appending goes through a
//! [`Batch`], which only this crate can make: the one door to the log is a command.
//!
//! ## Layout
//! - `commit`: what is appended: [`Batch`], [`Commit`], [`StreamAppend`], [`NewEvent`]; and its [`Outcome`]
//! - `log`: the [`Store`] trait, [`StoreError`]
//! - `views`: the [`Views`] trait: where projections keep their tables and checkpoints
//! - `shares`: who leads which projection, shared out evenly
//! - `queue`: the group commit: one queue and one writer a process, above any store
//! - `projecting`: whether a task is inside a projection
//! - `write_metrics`: numbers of the process that writes
//! - `chain`: a running SHA-256 over events
//! - `check`: compares the log with itself and with what was made of it
//! - `clock`: how far ahead a clock may be
//! - `ids`: event ids that rise whatever the clock does
//! - `sequences`: what a writer knows of the log without looking
//! - `open`: from a URL to a store; `url`: URLs as messages show them
//! - `sqlite`: the store on an embedded file
//! - `postgres`: the store that several processes share
//! - `conformance`: the suite that every store passes

mod check;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod clock;
mod commit;
mod commit_queue;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod event_ids;
mod hash_chain;
mod lease_assignment;
mod log;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod projecting;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sequence_cache;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod url;
mod views;
mod write_metrics;

pub(crate) use check::check;
pub use check::{CheckReport, Finding, FindingKind, LogDigest};
pub use commit::{Batch, Commit, ConflictSet, NewEvent, Outcome, Receipt, StreamAppend, digest_of};
pub(crate) use commit_queue::{CommitAnswer, CommitQueue, PendingAnswer};
pub use hash_chain::HashChain;
pub(crate) use lease_assignment::LeaseAssignment;
pub use log::{Clock, Interest, KnownCommand, OpenOptions, Page, Snapshot, Store, StoreError, WriteLock};
pub use open::open;
#[cfg(feature = "postgres")]
pub use postgres::{Migrated, Upgraded, grant, migrate, upgrade};
pub(crate) use projecting::{is_projecting, project, project_at_once};
pub(crate) use url::redact_url;
#[cfg(feature = "cli")]
pub(crate) use url::redact_urls;
pub use views::{Cell, Dialect, GenerationId, GenerationInfo, NoteKind, Row, Transaction, ViewSnapshot, Views};
#[cfg(feature = "http")]
pub(crate) use write_metrics::Histogram;
pub(crate) use write_metrics::{WriteMetrics, increment};
