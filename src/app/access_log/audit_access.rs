//! [`AuditAccessControl`]: access control for queries of the audit log.

use std::sync::Arc;

use async_trait::async_trait;

use super::{AccessControl, AccessError, Read, ReadEvent};
use crate::app::authorise::{Ask, NEEDS_FULL};
use crate::app::following::{Depends, FollowedAsk, FollowedRead};
use crate::commands::Context;
use crate::events::{Event, Ref, Topic};
use crate::projections::FollowRight;
use crate::projections::audit::{
    AuditAccess, AuditError, AuditLog, AuditRequest, AuditRow, Detail, RecordedFilters,
};

/// Asks whether the context's actor may read the audit log, and has the read recorded.
pub(in crate::app) struct AuditAccessControl {
    pub access_control: Arc<AccessControl>,
    pub context: Context,
}

#[async_trait]
impl AuditAccess for AuditAccessControl {
    async fn asked(&self, request: &AuditRequest, rows: &[AuditRow]) -> Result<Detail, AuditError> {
        self.ask(request, &Parts::of(request), rows).await.map(|(detail, _)| detail)
    }

    async fn follow(&self, request: &AuditRequest) -> Result<(Detail, FollowRight), AuditError> {
        let (parts, asked) = (Parts::of(request), self.access_control.followed().now());
        let (detail, depends) = self.ask(request, &parts, &[]).await?;
        let Parts { actors, targets, topics, of } = parts;
        let read = FollowedRead {
            access_control: self.access_control.clone(),
            context: self.context.clone(),
            ask: FollowedAsk::Audit { actors, targets, topics, detail },
            what: words(&self.recordable(request).0, detail),
            of,
        };
        Ok((detail, read.watch(asked, depends)))
    }
}

/// What a query is about.
struct Parts {
    actors: Vec<Ref>,
    targets: Vec<Ref>,
    topics: Vec<Topic>,
    /// What its record names.
    of: Vec<Ref>,
}

impl Parts {
    fn of(request: &AuditRequest) -> Self {
        let filter = &request.filter;
        let actors: Vec<Ref> = filter.actors.iter().cloned().collect();
        let targets: Vec<Ref> = filter.targets.iter().chain(&filter.aggregates).cloned().collect();
        let topics: Vec<Topic> = filter.topics.iter().cloned().collect();
        let mut of = vec![Ref::unchecked("projection", AuditLog::NAME)];
        of.extend(actors.iter().chain(&targets).cloned());
        Self { actors, targets, topics, of }
    }
}

/// The read in words.
fn words(words: &str, detail: Detail) -> String {
    match detail {
        Detail::Full => words.to_owned(),
        Detail::Metadata => format!("metadata of {words}"),
    }
}

impl AuditAccessControl {
    /// The query in words and its filters, as they may be recorded.
    fn recordable(&self, request: &AuditRequest) -> (String, RecordedFilters) {
        match self.access_control.personal {
            true => request.without_texts(),
            false => (request.words.clone(), request.filter.recorded()),
        }
    }

    /// Asks the authoriser, and has the read recorded. Returns what the answer depends on.
    async fn ask(
        &self,
        request: &AuditRequest,
        parts: &Parts,
        rows: &[AuditRow],
    ) -> Result<(Detail, Depends), AuditError> {
        let AuditRequest { filter, export, follows, .. } = request;
        let Parts { actors, targets, topics, of } = parts;
        let details: &[Detail] = match request.detail {
            Some(Detail::Metadata) => &[Detail::Metadata],
            None if !filter.needs_full() => &[Detail::Full, Detail::Metadata],
            _ => &[Detail::Full],
        };
        let (all, recorded) = self.recordable(request);
        let words: Vec<String> = details.iter().map(|detail| words(&all, *detail)).collect();
        let choice = |(detail, what): (&Detail, _)| {
            let ask = Ask::Audit { actors, targets, topics, detail: *detail };
            let mut read = Read { what, of, asked: recorded.clone(), export: export.as_ref() };
            if *detail == Detail::Metadata {
                read.asked.insert("detail".to_owned(), vec![detail.to_string()]);
            }
            (ask, read)
        };
        let words = words.iter().map(String::as_str);
        let choices: Vec<(Ask<'_>, Read<'_>)> = details.iter().zip(words).map(choice).collect();
        let choices: Vec<(&Ask<'_>, &Read<'_>)> = choices.iter().map(|(ask, read)| (ask, read)).collect();
        // A page with only records of reads is not recorded: following such records would never end.
        // An export is recorded once, before any data is written.
        let record = rows.is_empty() || export.is_none() && !rows.iter().all(is_read);
        match self.access_control.read_first(&self.context, &choices, record, *follows).await {
            Ok((index, depends)) => Ok((details.get(index).copied().unwrap_or(Detail::Metadata), depends)),
            Err(AccessError::Denied(denial)) => {
                let reason = match filter.needs_full() {
                    true => format!("{denial}: a filter by text {NEEDS_FULL}"),
                    false => denial.reason().to_owned(),
                };
                Err(AuditError::Denied { reason, cursor: None })
            }
            Err(AccessError::NotRecorded(error)) => Err(error.into()),
        }
    }
}

fn is_read(row: &AuditRow) -> bool {
    ReadEvent::lookup(&row.event_type).is_some()
}
