//! The audit log: who did what to which target, and when.
//!
//! It keeps no copy of the events. Its tables hold numbers: `names` gives each actor, target, topic, event type, action,
//! aggregate and correlation a number (by a digest of its text), `entries` has a row for each event, `targets` and `topics`
//! say at which positions each occurs. An [`AuditRow`] is made on read, from the event in the log and its declaration. So
//! these tables contain no sentences: to look at the history in the database, read the log, or run an audit query.
//!
//! A new filter touches two files: `filter` (its field, and its line in each method of [`AuditFilter`]) and `params` (its
//! builder method, flag and HTTP parameter). If it needs a column of its own, `tables` and `folding` too.
//!
//! ## Layout
//! - `filter`: [`AuditFilter`], which events a query selects
//! - `params`: how callers state a filter; [`AuditQueryParams`], flags and HTTP parameters
//! - `query`: [`AuditQuery`], order, limit, cursor, and the ways to run it
//! - `plan`: [`QueryPlan`], a checked query, and how far its reader has come
//! - `request`: [`AuditRequest`], a query as access control sees it
//! - `page`: [`AuditPage`], one page of rows
//! - `row`: [`AuditRow`], one event
//! - `cursor`: [`Cursor`], where the next page begins
//! - `detail`: [`Detail`], how much of each event a reader sees
//! - `count`: [`AuditCount`], the number of events by actor, action and type
//! - `follow`: streams of stored rows, and of stored and then live rows
//! - `scan`, `sql`: finds rows in a bounded number of statements
//! - `snapshots`: the snapshots of a query, open while its tables are read
//! - `projection`: [`AuditLog`], the projection
//! - `text_search`: how the filter by text compares
//! - `tables`: its tables, and how they are filled
//! - `folding`: events to be written to the tables
//! - `error`: [`AuditError`]

mod count;
mod cursor;
mod detail;
mod error;
mod filter;
mod folding;
mod follow;
mod page;
mod params;
mod plan;
mod projection;
mod query;
mod request;
mod row;
mod scan;
mod snapshots;
mod sql;
mod tables;
#[cfg(test)]
mod tests;
mod text_search;

pub use count::{AuditCount, Facet};
pub use cursor::Cursor;
pub use detail::Detail;
pub use error::AuditError;
pub use filter::{AuditFilter, RecordedFilters};
pub(crate) use follow::next_rows;
pub use page::AuditPage;
pub use params::{AuditQueryParams, Time};
pub use plan::QueryPlan;
pub use projection::AuditLog;
pub use query::AuditQuery;
pub use request::{AuditAccess, AuditRequest, ExportTarget};
pub use row::AuditRow;
