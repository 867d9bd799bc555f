//! [`Asked`]: a question to the audit log in words, as the flags of a command line or the parameters of an address.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AuditQuery, Cursor};
use crate::events::{Action, Ref};
use crate::projections::RangeBound;

/// A question to the audit log, in the words that flags and addresses share: the same as [`AuditQuery`] has.
///
/// Every filter may be given several times: any of its values will do; different filters must all agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Only what this actor did: a reference like user:alice
    #[cfg_attr(feature = "cli", arg(long = "actor", value_name = "KIND:ID"))]
    #[serde(rename = "actor", skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Ref>,
    /// Only what was done to this: a reference like project:7
    #[cfg_attr(feature = "cli", arg(long = "target", value_name = "KIND:ID"))]
    #[serde(rename = "target", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Ref>,
    /// Only this topic and what is below it
    #[cfg_attr(feature = "cli", arg(long = "topic", value_name = "PATH"))]
    #[serde(rename = "topic", skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Only this kind of change: create, update, delete, view or refuse
    #[cfg_attr(feature = "cli", arg(long = "action", value_name = "ACTION"))]
    #[serde(rename = "action", skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Only what was refused or denied
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub refused: bool,
    /// Only this event type: project_member.added
    #[cfg_attr(feature = "cli", arg(long = "event", value_name = "TYPE"))]
    #[serde(rename = "event", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Only the events of this aggregate, not of others that name it: project:7
    #[cfg_attr(feature = "cli", arg(long = "aggregate", value_name = "KIND:ID"))]
    #[serde(rename = "aggregate", skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Ref>,
    /// Only what belongs to this request, import or commit
    #[cfg_attr(feature = "cli", arg(long = "correlation", value_name = "TEXT"))]
    #[serde(rename = "correlation", skip_serializing_if = "Vec::is_empty")]
    pub correlations: Vec<String>,
    /// Only where the sentence or the payload holds this text, in upper or lower case
    #[cfg_attr(feature = "cli", arg(long = "text", value_name = "TEXT"))]
    #[serde(rename = "text", skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Only what was recorded at or after this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<RangeBound>,
    /// Only what was recorded before this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<RangeBound>,
    /// Only what happened at or after this time, whenever it was recorded
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_from: Option<Time>,
    /// Only what happened before this time, whenever it was recorded
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_until: Option<Time>,
    /// In the order in which it happened, not in which it was recorded
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub by_occurrence: bool,
    /// At most so many rows
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "http", param(minimum = 1, maximum = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The newest first
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub newest_first: bool,
    /// Go on behind an earlier page of the same query
    #[cfg_attr(feature = "cli", arg(long, value_name = "CURSOR"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Asked {
    /// Asks it of `query`, all that there is of it: without limit and cursor.
    pub fn of_all(&self, mut query: AuditQuery) -> AuditQuery {
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
        query = self.occurred_from.into_iter().fold(query, |query, time| query.occurred_from(time.0));
        query = self.occurred_until.into_iter().fold(query, |query, time| query.occurred_until(time.0));
        query = if self.refused { query.refused() } else { query };
        query = if self.by_occurrence { query.by_occurrence() } else { query };
        if self.newest_first { query.newest_first() } else { query.oldest_first() }
    }

    /// Asks it of `query`, with its limit and from its cursor on.
    pub fn of(&self, query: AuditQuery) -> AuditQuery {
        let query = self.limit.into_iter().fold(self.of_all(query), AuditQuery::limit);
        self.cursor.into_iter().fold(query, AuditQuery::cursor)
    }
}

/// A time with its zone, or a date: its midnight in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Timestamp);

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<RangeBound>() {
            Ok(RangeBound::Time(time)) => Ok(Self(time)),
            Ok(_) => {
                Err("what happened is found by its time: write one with its zone (2026-01-31T10:00:00Z)".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.0.to_string()
    }
}
