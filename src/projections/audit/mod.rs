//! The audit log: who did what to which thing, when; by actor, target, action, topic, event type, range.
//!
//! It keeps no copy of the events: its tables say at which positions to look, and a row is made on read, from the
//! log and from the event's own declaration.
//!
//! ## Layout
//! - `projection`: [`AuditLog`], what is kept
//! - `filters`: what is asked for, and the SQL that finds it
//! - `query`: [`AuditQuery`], the builder
//! - `page`: [`AuditPage`], and how one is read
//! - `row`: [`AuditRow`], one event for a reader
//! - `cursor`: [`Cursor`], where the next page begins
//! - `follow`: streams: all pages, or stored and then live
//! - `error`: [`AuditError`]

mod cursor;
mod error;
mod filters;
mod follow;
mod page;
mod projection;
mod query;
mod row;
#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use error::AuditError;
pub use page::AuditPage;
pub use projection::AuditLog;
pub use query::AuditQuery;
pub use row::AuditRow;
