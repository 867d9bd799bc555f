//! [`AuditAccess`]: who is told of questions before they are answered.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::filters::Filters;
use super::{AuditError, AuditRow};
use crate::events::{LogPosition, Ref, Topic};

/// Is told what the audit log is asked, before anything is read, and may refuse it. See
/// [`AuditQuery::access`](super::AuditQuery::access).
#[async_trait]
pub trait AuditAccess: Send + Sync + 'static {
    /// Somebody asks; or, where `rows` are given, is about to get these as the answer goes on.
    ///
    /// # Errors
    /// Why the question is not answered (any more).
    async fn asked(&self, question: &Question, rows: &[AuditRow]) -> Result<(), AuditError>;
}

/// What the audit log is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The whole question in words: `the audit log: actor user:alice, topic project`. The same question has the same
    /// words, whatever page of it is read.
    pub words: String,
    /// The actors asked for; none: any.
    pub actors: Vec<Ref>,
    /// The targets and aggregates asked for; none: any.
    pub targets: Vec<Ref>,
    /// The topics asked for; none: all.
    pub topics: Vec<Topic>,
    /// All that is asked for, filter by filter: see [`lets_through`](super::lets_through).
    pub asked: AskedFor,
    /// Where the answer goes, if it does not stay with the one who asks: it is exported.
    pub export: Option<ExportTarget>,
}

/// Each filter of a question with its values, in text: `actor`, `target`, `topic`, `from` …
pub type AskedFor = BTreeMap<String, Vec<String>>;

/// An answer that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTarget {
    /// In which format.
    pub format: String,
    /// Up to where in the log.
    pub head: LogPosition,
}

impl Question {
    pub(super) fn new(filters: &Filters, more: Vec<(&str, String)>, export: Option<ExportTarget>) -> Self {
        let (mut parts, mut asked) = (Vec::new(), AskedFor::new());
        for ((_, column), values) in filters.given() {
            let name = if column == "event_type" { "event" } else { column };
            parts.extend(values.iter().map(|value| format!("{name} {value}")));
            asked.insert(name.to_owned(), values.into_iter().map(str::to_owned).collect());
        }
        parts.extend(filters.texts.iter().map(|text| format!("text {text:?}")));
        if !filters.texts.is_empty() {
            asked.insert("text".to_owned(), filters.texts.iter().cloned().collect());
        }
        for (name, value) in more {
            parts.push(format!("{name} {value}").trim_end().to_owned());
            // What has no value is the order, which keeps nothing away.
            if !value.is_empty() {
                asked.insert(name.to_owned(), vec![value]);
            }
        }
        let of = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        Self {
            words: format!("the audit log{of}"),
            actors: filters.actors.iter().cloned().collect(),
            targets: filters.targets.iter().chain(&filters.aggregates).cloned().collect(),
            topics: filters.topics.iter().cloned().collect(),
            asked,
            export,
        }
    }
}
