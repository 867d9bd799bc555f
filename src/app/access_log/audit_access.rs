//! [`AuditAccessControl`]: access control for queries of the audit log.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessControl, AccessError, Read, ReadEvent};
use crate::app::authorise::{Ask, NEEDS_FULL};
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
    async fn asked(&self, request: &AuditRequest, rows: &[AuditRow]) -> Result<Detail, AuditError> {
        let AuditRequest { words, filter, export, .. } = request;
        let actors: Vec<Ref> = filter.actors.iter().cloned().collect();
        let targets: Vec<Ref> = filter.targets.iter().chain(&filter.aggregates).cloned().collect();
        let topics: Vec<Topic> = filter.topics.iter().cloned().collect();
        let mut of = vec![Ref::unchecked("projection", AuditLog::NAME)];
        of.extend(actors.iter().chain(&targets).cloned());
        let of_metadata = format!("metadata of {words}");
        let choice = |detail: &Detail| {
            let ask = Ask::Audit { actors: &actors, targets: &targets, topics: &topics, detail: *detail };
            let mut read = Read { what: words, of: &of, asked: filter.recorded(), export: export.as_ref() };
            if *detail == Detail::Metadata {
                read.what = &of_metadata;
                read.asked.insert("detail".to_owned(), vec![detail.to_string()]);
            }
            (ask, read)
        };
        let details: &[Detail] = match request.detail {
            Some(Detail::Metadata) => &[Detail::Metadata],
            None if !filter.needs_full() => &[Detail::Full, Detail::Metadata],
            _ => &[Detail::Full],
        };
        let choices: Vec<(Ask<'_>, Read<'_>)> = details.iter().map(choice).collect();
        let choices: Vec<(&Ask<'_>, &Read<'_>)> = choices.iter().map(|(ask, read)| (ask, read)).collect();
        // A page with only records of reads is not recorded: following such records would never end.
        // An export is recorded once, before any data is written.
        let record = rows.is_empty() || export.is_none() && !rows.iter().all(is_read);
        match self.access_control.read_first(&self.context, &choices, record).await {
            Ok(index) => Ok(details.get(index).copied().unwrap_or(Detail::Metadata)),
            Err(AccessError::Denied(denial)) if filter.needs_full() => {
                Err(AuditError::Denied { reason: format!("{denial}: a filter by text {NEEDS_FULL}") })
            }
            Err(AccessError::Denied(denial)) => Err(AuditError::Denied { reason: denial.reason().to_owned() }),
            Err(AccessError::NotRecorded(error)) => Err(error.into()),
        }
    }
}

fn is_read(row: &AuditRow) -> bool {
    ReadEvent::lookup(&row.event_type).is_some()
}
