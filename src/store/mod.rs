//! The store: an ordered, immutable log of events, and the tables of projections.
//!
//! A store is a type that implements [`Store`] and passes the [`conformance`] suite. It appends a [`Batch`], which only
//! this crate can construct: every event comes from a command.
//!
//! ## Layout
//! - `log`: the [`Store`] trait and [`StoreError`]
//! - `log_info`: [`LogInfo`], the id of a log, what it requires, and whether it is a copy
//! - `interest`: [`Interest`] and [`Page`], what a reader of the log wants and gets
//! - `log_time`: the time by which rights end
//! - `bounded_reads`: reads of the log that are bounded in bytes
//! - `default_reads`: the same for a store that has none of its own
//! - `views`: the [`Views`] trait for tables and checkpoints of projections
//! - `table`: a projection's table as data
//! - `sql`: parts that stores on SQL databases share
//! - `commit`: [`Batch`], [`Commit`], [`StreamAppend`], [`NewEvent`], and the [`Outcome`] of a commit
//! - `event_digest`: the digest of an event
//! - `event_metadata`: the metadata of a commit's events
//! - `conflict_set`: what depends on commits that failed
//! - `sqlite`, `postgres`, `jetstream`: the stores
//! - `event_ids`, `clock`, `sequence_cache`, `write_lock`, `lease_assignment`: parts that both stores use
//! - `micros`: times in whole microseconds
//! - `moment`: [`Moment`], a moment in the past of the log
//! - `named_event`: the event that a receipt or a cursor names
//! - `standby_status`: the standby from which views are read
//! - `open`: opens the store of a URL
//! - `url`: URLs in messages
//! - `kept_snapshots`: snapshots of aggregates that are kept beside the newest ones, for the past
//! - `hash_chain`: a running SHA-256 over events
//! - `requirements`: what a log requires of programs
//! - `check`: checks the log, and compares it with what projections made of it
//! - `projecting`: marks a projection's own code
//! - `write_metrics`: counters of the write path
//! - `conformance`: the test suite that every store passes

mod bounded_reads;
mod check;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod clock;
mod commit;
mod conflict_set;
#[cfg(feature = "conformance")]
pub mod conformance;
mod default_reads;
mod event_digest;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod event_ids;
mod event_metadata;
mod hash_chain;
mod interest;
#[cfg(feature = "jetstream")]
pub mod jetstream;
pub(crate) mod kept_snapshots;
mod lease_assignment;
mod log;
mod log_info;
mod log_time;
mod micros;
mod moment;
mod named_event;
mod open;
#[cfg(feature = "postgres")]
pub mod postgres;
mod projecting;
mod requirements;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sequence_cache;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod standby_status;
mod table;
mod url;
mod views;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod write_lock;
mod write_metrics;

pub(crate) use bounded_reads::{bisect, is_full, read_history, read_page, read_some};
pub(crate) use check::LogObserver;
pub(crate) use check::check;
pub use check::{CheckReport, Finding, FindingKind, LogDigest, ReadableValues};
pub use commit::{Batch, Commit, NewEvent, Outcome, Receipt, StreamAppend};
pub use conflict_set::ConflictSet;
pub use event_digest::digest_of;
pub(crate) use event_metadata::EventMetadata;
pub use hash_chain::HashChain;
pub use interest::{Interest, Page};
pub use lease_assignment::LeaseAssignment;
pub use log::{Clock, KnownCommand, OpenOptions, Snapshot, Store, StoreError, WriteLock};
pub use log_info::LogInfo;
pub(crate) use log_time::LogTime;
pub(crate) use micros::{micros, time_of_micros};
pub use moment::{AsOf, InvalidMoment, Moment, MomentError};
pub(crate) use named_event::{event_at, named_event};
pub use open::open;
#[cfg(all(feature = "postgres", feature = "personal"))]
pub(crate) use postgres::DatabaseUrl;
#[cfg(feature = "postgres")]
pub use postgres::{
    Migrated, OldEvent, Takeover, Undone, Unmapped, Upgraded, grant, kept_events, undo_migration, upgrade,
};
#[cfg(feature = "postgres")]
pub(crate) use postgres::{TakeoverReading, migrate};
pub(crate) use projecting::{is_projecting, project, project_at_once};
pub(crate) use requirements::{ACCESS, ACCESS_KIND, Known, check as check_requirements};
pub use standby_status::StandbyStatus;
pub use table::{Column, ColumnType, Index, OnConflict, Table};
pub(crate) use url::redact_url;
#[cfg(feature = "cli")]
pub(crate) use url::redact_urls;
pub use views::{Cell, Dialect, GenerationId, GenerationInfo, NoteKind, Row, Transaction, ViewSnapshot, Views};
#[cfg(feature = "http")]
pub(crate) use write_metrics::Histogram;
pub(crate) use write_metrics::{WriteMetrics, increment};
