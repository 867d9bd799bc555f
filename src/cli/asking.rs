//! The flags of a question to the audit log: the same words as [`AuditQuery`] has.

use clap::Args;
use jiff::Timestamp;

use super::ReaderArgs;
use crate::BoxError;
use crate::app::{Annals, App};
use crate::events::{Action, Ref};
use crate::projections::Bound;
use crate::projections::audit::{AuditQuery, Cursor};

/// What is asked for, and by whom.
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
    /// Only this kind of change: create, update, delete, view or refuse
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// Only what was refused or denied
    #[arg(long)]
    refused: bool,
    /// Only this event type: project_member.added
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Only the events of this aggregate, not of others that name it: project:7
    #[arg(long = "aggregate", value_name = "KIND:ID")]
    aggregates: Vec<Ref>,
    /// Only what belongs to this request, import or commit
    #[arg(long = "correlation", value_name = "TEXT")]
    correlations: Vec<String>,
    /// Only where the sentence or the payload holds this text, in upper or lower case
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,
    /// Only what was recorded at or after this position, event id or time
    #[arg(long, value_name = "BOUND")]
    from: Option<Bound>,
    /// Only what was recorded before this position, event id or time
    #[arg(long, value_name = "BOUND")]
    until: Option<Bound>,
    /// Only what happened at or after this time, whenever it was recorded
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred_from: Option<Timestamp>,
    /// Only what happened before this time, whenever it was recorded
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred_until: Option<Timestamp>,
    /// In the order in which it happened, not in which it was recorded
    #[arg(long)]
    by_occurrence: bool,
    /// At most so many rows in all [default: all of them]
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// The newest first
    #[arg(long)]
    newest_first: bool,
    /// Go on behind an earlier page of the same query
    #[arg(long, value_name = "CURSOR")]
    pub(super) cursor: Option<Cursor>,
    #[command(flatten)]
    reader: ReaderArgs,
}

/// A time with its zone, or a date: its midnight in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.parse::<Bound>() {
        Ok(Bound::Time(time)) => Ok(time),
        Ok(_) => {
            Err("what happened is found by its time: write one with its zone (2026-01-31T10:00:00Z)".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

impl Asking {
    /// An error if it has to be said who reads, and is not.
    pub(super) fn check(&self, app: &App) -> Result<(), BoxError> {
        self.reader.check(app)
    }

    /// The question, of all that there is: without limit and cursor.
    pub(super) fn of(&self, annals: &Annals) -> AuditQuery {
        let mut query = match self.reader.of(annals) {
            Some(reader) => reader.audit(),
            None => annals.audit(),
        };
        query = self.actors.iter().fold(query, |query, actor| query.actor(actor));
        query = self.targets.iter().fold(query, |query, target| query.target(target));
        query = self.topics.iter().fold(query, |query, topic| query.topic(topic));
        query = self.actions.iter().fold(query, |query, action| query.action(*action));
        query = self.events.iter().fold(query, |query, event| query.event(event));
        query = self.aggregates.iter().fold(query, |query, aggregate| query.aggregate(aggregate));
        query = self.correlations.iter().fold(query, |query, correlation| query.correlation(correlation));
        query = self.texts.iter().fold(query, |query, text| query.text(text));
        query = self.from.into_iter().fold(query, AuditQuery::from);
        query = self.until.into_iter().fold(query, AuditQuery::until);
        query = self.occurred_from.into_iter().fold(query, AuditQuery::occurred_from);
        query = self.occurred_until.into_iter().fold(query, AuditQuery::occurred_until);
        query = if self.refused { query.refused() } else { query };
        query = if self.by_occurrence { query.by_occurrence() } else { query };
        if self.newest_first { query.newest_first() } else { query.oldest_first() }
    }

    /// The question, with its limit and from its cursor on.
    pub(super) fn bounded(&self, annals: &Annals) -> AuditQuery {
        let query = self.limit.into_iter().fold(self.of(annals), AuditQuery::limit);
        self.cursor.into_iter().fold(query, AuditQuery::cursor)
    }
}
