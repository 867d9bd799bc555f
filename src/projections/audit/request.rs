//! [`AuditRequest`]: an audit query, as access control sees it before it is answered.

use async_trait::async_trait;

use super::{AuditError, AuditFilter, AuditRow, Detail, RecordedFilters};
use crate::events::personal::PERSONAL;
use crate::events::{LogPosition, Ref};
use crate::projections::FollowRight;

/// Checks and records reads of the audit log: see [`AuditQuery::access`](super::AuditQuery::access).
#[async_trait]
pub trait AuditAccess: Send + Sync + 'static {
    /// Called before anything is read; and, with `rows`, before further rows of a stream are delivered. Returns how much of
    /// each event the caller sees: [`AuditRequest::detail`], if it has one.
    ///
    /// # Errors
    /// Why the query is refused. Nothing is then delivered.
    async fn asked(&self, request: &AuditRequest, rows: &[AuditRow]) -> Result<Detail, AuditError>;

    /// Called when a query is followed live, before anything is read, in place of [`asked`](Self::asked). Returns also the right
    /// to follow it: the stream ends with it. By default it does not end.
    ///
    /// # Errors
    /// Why the query is refused.
    async fn follow(&self, request: &AuditRequest) -> Result<(Detail, FollowRight), AuditError> {
        Ok((self.asked(request, &[]).await?, FollowRight::unlimited()))
    }
}

/// A request to read the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRequest {
    /// The whole query in words: `the audit log: actor user:alice, topic project`. All pages of a query have the same.
    pub words: String,
    /// The events that it selects.
    pub filter: AuditFilter,
    /// How much of each event is asked for; `None` for as much as the caller may see. The further pages of a stream ask for
    /// what its first page was answered with.
    pub detail: Option<Detail>,
    /// Whether the answer is followed live.
    pub follows: bool,
    /// The export that it is for, if it is for one.
    pub export: Option<ExportTarget>,
}

/// An export of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTarget {
    /// The format.
    pub format: String,
    /// The head of the log when the export began: nothing after it is exported.
    pub head: LogPosition,
    /// Where the data goes: `host:192.0.2.7`, `file:/home/ann/june.csv`.
    pub to: Option<Ref>,
}

impl AuditRequest {
    pub(super) fn new(
        filter: AuditFilter,
        order: &[&str],
        detail: Option<Detail>,
        follows: bool,
        export: Option<ExportTarget>,
    ) -> Self {
        let mut parts = Vec::new();
        for (name, values) in filter.values() {
            parts.extend(values.iter().map(|value| match name {
                "text" => format!("text {value:?}"),
                name => format!("{name} {value}"),
            }));
        }
        parts.extend(order.iter().map(|part| (*part).to_owned()));
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        Self { words: format!("the audit log{parts}"), filter, detail, follows, export }
    }

    /// The query in words and its filters as they are recorded where a text that somebody searches for may be a personal value: without it.
    pub(crate) fn without_texts(&self) -> (String, RecordedFilters) {
        let (mut words, mut recorded) = (self.words.clone(), self.filter.recorded());
        for (_, texts) in self.filter.values().into_iter().filter(|(name, _)| *name == "text") {
            texts.iter().for_each(|text| words = words.replace(&format!("text {text:?}"), "a text"));
            // A record without a filter matches at least what was read.
            recorded.retain(|_, values| *values != texts);
            recorded.insert("a text".to_owned(), vec![PERSONAL.to_owned()]);
        }
        (words, recorded)
    }
}
