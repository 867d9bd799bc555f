//! The flags of a question to the audit log: the same words as [`AuditQuery`] has.

use clap::Args;

use crate::events::{Action, Ref};
use crate::projections::Bound;
use crate::projections::audit::{AuditQuery, Cursor};

/// What is asked for.
#[derive(Args, Clone, Debug)]
pub(super) struct Asking {
    /// Only what this actor did: a reference like user:alice
    #[arg(long = "actor", value_name = "KIND:ID")]
    actors: Vec<Ref>,
    /// Only what was done to this: a reference like project:7
    #[arg(long = "target", value_name = "KIND:ID")]
    targets: Vec<Ref>,
    /// Only this topic and what is below it
    #[arg(long = "topic", value_name = "PATH")]
    topics: Vec<String>,
    /// Only this kind of change: create, update, delete or view
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// Only this event type: project_member.added
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Only the events of this aggregate, not of others that name it: project:7
    #[arg(long = "aggregate", value_name = "KIND:ID")]
    aggregates: Vec<Ref>,
    /// Only what belongs to this request, import or commit
    #[arg(long = "correlation", value_name = "TEXT")]
    correlations: Vec<String>,
    /// Only what was recorded at or after this position, event id or time
    #[arg(long, value_name = "BOUND")]
    from: Option<Bound>,
    /// Only what was recorded before this position, event id or time
    #[arg(long, value_name = "BOUND")]
    until: Option<Bound>,
    /// At most so many rows in all [default: all of them]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The newest first
    #[arg(long)]
    newest_first: bool,
    /// Go on behind an earlier page of the same query
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<Cursor>,
}

impl Asking {
    /// The question.
    pub(super) fn ask(&self, query: AuditQuery) -> AuditQuery {
        let query = self.actors.iter().fold(query, |query, actor| query.actor(actor));
        let query = self.targets.iter().fold(query, |query, target| query.target(target));
        let query = self.topics.iter().fold(query, |query, topic| query.topic(topic));
        let query = self.actions.iter().fold(query, |query, action| query.action(*action));
        let query = self.events.iter().fold(query, |query, event| query.event(event));
        let query = self.aggregates.iter().fold(query, |query, aggregate| query.aggregate(aggregate));
        let query = self.correlations.iter().fold(query, |query, text| query.correlation(text));
        let query = self.from.into_iter().fold(query, AuditQuery::from);
        let query = self.until.into_iter().fold(query, AuditQuery::until);
        let query = self.limit.into_iter().fold(query, AuditQuery::limit);
        let query = self.cursor.into_iter().fold(query, AuditQuery::cursor);
        if self.newest_first { query.newest_first() } else { query }
    }
}
