//! [`Witness`]: who is told of questions before they are answered.

use async_trait::async_trait;

use super::filters::Filters;
use super::{AuditError, AuditRow};
use crate::events::{Ref, Topic};

/// Is told what the audit log is asked, before anything is read, and may refuse it. See
/// [`AuditQuery::witness`](super::AuditQuery::witness).
#[async_trait]
pub trait Witness: Send + Sync + 'static {
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
}

impl Question {
    pub(super) fn new(filters: &Filters, more: Vec<(&str, String)>) -> Self {
        let mut parts = Vec::new();
        for ((_, column), values) in filters.given() {
            let name = if column == "event_type" { "event" } else { column };
            parts.extend(values.iter().map(|value| format!("{name} {value}")));
        }
        parts.extend(filters.texts.iter().map(|text| format!("text {text:?}")));
        parts.extend(more.into_iter().map(|(name, value)| format!("{name} {value}").trim_end().to_owned()));
        let of = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        Self {
            words: format!("the audit log{of}"),
            actors: filters.actors.iter().cloned().collect(),
            targets: filters.targets.iter().chain(&filters.aggregates).cloned().collect(),
            topics: filters.topics.iter().cloned().collect(),
        }
    }
}
