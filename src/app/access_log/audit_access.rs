//! [`AuditAccessControl`]: access control for queries of the audit log.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessControl, AccessError, Read, ReadEvent};
use crate::app::authorise::Ask;
use crate::commands::Context;
use crate::events::{Event, Ref, Topic};
use crate::projections::audit::{AuditAccess, AuditError, AuditLog, AuditRequest, AuditRow, Detail};

/// Asks whether the context's actor may read the audit log, and has the read recorded.
pub(in crate::app) struct AuditAccessControl {
    pub access_control: Arc<AccessControl>,
    pub context: Context,
}

#[async_trait]
impl AuditAccess for AuditAccessControl {
    async fn asked(&self, request: &AuditRequest, rows: &[AuditRow]) -> Result<(), AuditError> {
        let AuditRequest { words, filter, export, .. } = request;
        let actors: Vec<Ref> = filter.actors.iter().cloned().collect();
        let targets: Vec<Ref> = filter.targets.iter().chain(&filter.aggregates).cloned().collect();
        let topics: Vec<Topic> = filter.topics.iter().cloned().collect();
        let ask = Ask::Audit { actors: &actors, targets: &targets, topics: &topics, detail: Detail::Full };
        let mut of = vec![Ref::unchecked("projection", AuditLog::NAME)];
        of.extend(actors.iter().chain(&targets).cloned());
        // A page with only records of reads is not recorded: following such records would never end.
        // An export is recorded once, before any data is written.
        let record = rows.is_empty() || export.is_none() && !rows.iter().all(is_read);
        let read = Read { what: words, of: &of, asked: filter.recorded(), export: export.as_ref() };
        self.access_control.read(&self.context, &ask, &read, record).await.map_err(|error| match error {
            AccessError::Denied(denial) => AuditError::Denied { reason: denial.reason().to_owned() },
            AccessError::NotRecorded(error) => error.into(),
        })
    }
}

fn is_read(row: &AuditRow) -> bool {
    ReadEvent::lookup(&row.event_type).is_some()
}
