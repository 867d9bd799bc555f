//! What is recorded besides the changes: who read what, and who was refused what.
//!
//! A record is an ordinary event of an ordinary aggregate, appended by an ordinary command: it is in the audit log, has
//! a sentence and is counted like any other. It is only written where the application asks for it
//! ([`App::record_reads`](super::App::record_reads), [`App::record_refusals`](super::App::record_refusals)).
//!
//! ## Layout
//! - `events`: [`ReadEvent`], [`RefusalEvent`], and the aggregate that they happen to
//! - `commands`: what records them
//! - `denials`: merges the denials of one actor
//! - `recorder`: the queue in front of that, and the task behind it
//! - `access_control`: asks the application's authoriser, and hands the recorder what is to be recorded
//! - `audit_access`: the same for those who read the audit log
//! - `lineage`: who saw a thing before it left: [`ExportAccess`], [`ReadAccess`]

mod access_control;
mod audit_access;
mod commands;
mod denials;
mod events;
mod lineage;
mod recorder;
#[cfg(test)]
mod tests;

pub(super) use access_control::{AccessControl, Refused};
pub(super) use audit_access::AuditAccessControl;
pub use events::{AccessLog, AccessLogEvent, AccessLogId, ReadEvent, RefusalEvent};
pub(super) use lineage::lineage;
pub use lineage::{ExportAccess, LineageError, ReadAccess};
pub(super) use recorder::Read;
