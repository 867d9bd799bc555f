//! The audit log: who did what to which thing, when; by actor, target, action, topic, event type, range.
//!
//! It keeps no copy of the events: its tables say at which positions to look, and a row is made on read, from the
//! log and from the event's own declaration.
//!
//! ## Layout
//! - `projection`: [`AuditLog`], what is kept; `tables`: where, and how that is filled; `folding`: by what
//! - `names`: the numbers that stand for names in its tables
//! - `query`: [`AuditQuery`], the builder; `asked`: [`Asked`], the same in words
//! - `filters`, `text`: what is asked for; `identity`: what makes it this question and no other
//! - `plan`: a question that makes sense, and how far its reader has come
//! - `sql`, `scan`: the statements, and how rows are found in a bounded number of steps
//! - `page`: [`AuditPage`], and how one is read
//! - `count`: [`AuditCount`], how many, by whom, of which kind
//! - `row`: [`AuditRow`], one event for a reader
//! - `cursor`: [`Cursor`], where the next page begins
//! - `follow`: streams: all pages, or stored and then live
//! - `sieve`: [`Sieve`], for many who follow and share a reader
//! - `access`: [`AuditAccess`], who is told of questions before they are answered; `past`: a question of the past, asked of
//!   one row
//! - `error`: [`AuditError`]

mod access;
mod asked;
mod count;
mod cursor;
mod error;
mod filters;
mod folding;
mod follow;
mod identity;
mod names;
mod page;
mod past;
mod plan;
mod projection;
mod query;
mod row;
mod scan;
mod sieve;
mod sql;
mod tables;
#[cfg(test)]
mod tests;
mod text;

pub use access::{AskedFor, AuditAccess, ExportTarget, Question};
pub use asked::{Asked, Time};
pub use count::{AuditCount, Facet};
pub use cursor::Cursor;
pub use error::AuditError;
pub use page::AuditPage;
pub use past::lets_through;
pub use projection::AuditLog;
pub use query::AuditQuery;
pub use row::AuditRow;
pub use sieve::Sieve;
