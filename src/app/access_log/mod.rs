//! The access log: records of reads and refusals.
//!
//! A record is an ordinary event of an ordinary aggregate, appended by an ordinary command: it is in the audit log, has
//! a sentence and is counted like any other. Records are written only if the application asks for them
//! ([`App::record_reads`](super::App::record_reads), [`App::record_refusals`](super::App::record_refusals)).
//!
//! ## Layout
//! - `events`: [`ReadEvent`], [`RefusalEvent`], and their aggregate
//! - `commands`: the internal commands that append records
//! - `denials`: merges the denials of one actor
//! - `repeats`: counts reads that are recorded already
//! - `recorder`: the queue of records
//! - `record_task`: the task that appends them
//! - `access_control`: calls the application's authoriser, and has reads and refusals recorded
//! - `audit_access`: access control for queries of the audit log
//! - `lineage`: access lineage: [`ExportAccess`], [`ReadAccess`]

mod access_control;
mod audit_access;
mod commands;
mod denials;
mod events;
mod lineage;
mod record_task;
mod recorder;
mod repeats;
#[cfg(test)]
mod tests;

pub(super) use access_control::{AccessControl, AccessError};
pub(super) use audit_access::AuditAccessControl;
#[cfg(test)]
pub(super) use commands::RecordDenials;
pub use events::{AccessLog, AccessLogEvent, AccessLogId, ReadEvent, ReadsInMinute, RefusalEvent};
pub(super) use lineage::lineage;
pub use lineage::{ExportAccess, LineageError, ReadAccess};
pub(super) use recorder::Read;
