//! How callers state a filter: the builder methods of [`AuditQuery`], and [`AuditQueryParams`], the same as flags of the
//! command line and parameters of the HTTP API.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::text_search::folded;
use super::{AuditFilter, AuditQuery, Cursor, Detail};
use crate::events::{Action, Ref, Topic};
use crate::projections::query_error::{check_event, check_topic};
use crate::projections::{QueryError, RangeBound};
use crate::text::text_conversions;

/// # Filters
impl AuditQuery {
    /// Events that this actor caused: `user:alice`.
    pub fn actor(self, actor: impl fmt::Display) -> Self {
        self.reference(actor, |filter| &mut filter.actors)
    }

    /// Events with this target, which may be the aggregate itself: `project:7`. It need not exist any more.
    pub fn target(self, target: impl fmt::Display) -> Self {
        self.reference(target, |filter| &mut filter.targets)
    }

    /// Events of this topic or one below it: `project/member`.
    pub fn topic(mut self, topic: impl fmt::Display) -> Self {
        let topic = topic.to_string().parse::<Topic>().map_err(QueryError::from);
        let checked = topic.and_then(|topic| check_topic(&topic, self.reading.types()).map(|()| topic));
        if let Some(topic) = self.checked(checked) {
            self.filter.topics.insert(topic);
        }
        self
    }

    /// Events with this action.
    pub fn action(mut self, action: Action) -> Self {
        self.filter.actions.insert(action);
        self
    }

    /// Events of this type, by its current name or a former one: `project_member.added`.
    pub fn event(mut self, event_type: impl fmt::Display) -> Self {
        let checked = check_event(&event_type.to_string(), self.reading.types());
        if let Some(event) = self.checked(checked) {
            self.filter.events.insert(event.to_owned());
        }
        self
    }

    /// Events of this aggregate, without those of other aggregates that have it as a target: `project:7`.
    pub fn aggregate(self, aggregate: impl fmt::Display) -> Self {
        self.reference(aggregate, |filter| &mut filter.aggregates)
    }

    /// Events with this correlation: of one request, import or commit.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.filter.correlations.insert(correlation.into());
        self
    }

    /// Events whose declared sentence, or a string value of whose payload, contains this text.
    ///
    /// What people see is compared: names of fields and the signs of JSON are not text, upper and lower case are equal
    /// (`STRASSE` and `straße`), and so are all ways to encode a letter with its marks.
    ///
    /// There is no index for it: a page reads at most 1,000 of the events that the other filters select. It may hold fewer
    /// rows than its limit, or none, with a cursor to continue from.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        let checked = if text.is_empty() { Err(QueryError::NoText) } else { Ok(folded(&text)) };
        if let Some(text) = self.checked(checked) {
            self.filter.texts.insert(text);
        }
        self
    }

    /// Refused and denied requests: see [`Action::Refuse`].
    pub fn refused(self) -> Self {
        self.action(Action::Refuse)
    }

    /// The start of the range, inclusive.
    pub fn from(mut self, bound: impl Into<RangeBound>) -> Self {
        self.filter.from = Some(bound.into());
        self
    }

    /// The end of the range, exclusive.
    pub fn until(mut self, bound: impl Into<RangeBound>) -> Self {
        self.filter.until = Some(bound.into());
        self
    }

    /// Events that occurred at this time or later, whenever they were recorded.
    pub fn occurred_from(mut self, time: Timestamp) -> Self {
        self.filter.occurred_from = Some(time);
        self
    }

    /// Events that occurred before this time, whenever they were recorded.
    pub fn occurred_until(mut self, time: Timestamp) -> Self {
        self.filter.occurred_until = Some(time);
        self
    }

    fn reference(
        mut self,
        reference: impl fmt::Display,
        values: fn(&mut AuditFilter) -> &mut BTreeSet<Ref>,
    ) -> Self {
        let parsed = reference.to_string().parse::<Ref>().map_err(QueryError::from);
        if let Some(reference) = self.checked(parsed) {
            values(&mut self.filter).insert(reference);
        }
        self
    }
}

/// An audit query as parameters: the flags of the command line and the query string of the HTTP API have these names.
///
/// A filter may be given several times: an event matches if it has any of the values. It has to match all filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct AuditQueryParams {
    /// Only events of this actor, a reference like user:alice
    #[cfg_attr(feature = "cli", arg(long = "actor", value_name = "KIND:ID"))]
    #[serde(rename = "actor", skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Ref>,
    /// Only events with this target, a reference like project:7
    #[cfg_attr(feature = "cli", arg(long = "target", value_name = "KIND:ID"))]
    #[serde(rename = "target", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Ref>,
    /// Only events of this topic and the topics below it
    #[cfg_attr(feature = "cli", arg(long = "topic", value_name = "PATH"))]
    #[serde(rename = "topic", skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Only events with this action: create, update, delete, view or refuse
    #[cfg_attr(feature = "cli", arg(long = "action", value_name = "ACTION"))]
    #[serde(rename = "action", skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Only refused and denied requests
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub refused: bool,
    /// Only events of this type, like project_member.added
    #[cfg_attr(feature = "cli", arg(long = "event", value_name = "TYPE"))]
    #[serde(rename = "event", skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Only events of this aggregate, like project:7, not of others that have it as a target
    #[cfg_attr(feature = "cli", arg(long = "aggregate", value_name = "KIND:ID"))]
    #[serde(rename = "aggregate", skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Ref>,
    /// Only events with this correlation: of one request, import or commit
    #[cfg_attr(feature = "cli", arg(long = "correlation", value_name = "TEXT"))]
    #[serde(rename = "correlation", skip_serializing_if = "Vec::is_empty")]
    pub correlations: Vec<String>,
    /// Only events whose sentence or payload values contain this text (case-insensitive)
    #[cfg_attr(feature = "cli", arg(long = "text", value_name = "TEXT"))]
    #[serde(rename = "text", skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// Only events recorded at or after this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<RangeBound>,
    /// Only events recorded before this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<RangeBound>,
    /// Only events that occurred at or after this time, whenever they were recorded
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_from: Option<Time>,
    /// Only events that occurred before this time, whenever they were recorded
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurred_until: Option<Time>,
    /// Sort by time of occurrence instead of by position
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub by_occurrence: bool,
    /// Maximum number of rows
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "http", param(minimum = 1, maximum = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How much of each event: metadata (who, when, which type, action, aggregate and targets) or full; by default as much as
    /// the actor may see
    #[cfg_attr(feature = "cli", arg(long, value_enum, value_name = "DETAIL"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
    /// Newest first
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "is_false")]
    pub newest_first: bool,
    /// Continue after an earlier page of the same query
    #[cfg_attr(feature = "cli", arg(long, value_name = "CURSOR"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl AuditQueryParams {
    /// Applies the filters, the detail and the order to `query`, without limit and cursor.
    pub fn apply_filters(&self, mut query: AuditQuery) -> AuditQuery {
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
        query = self.detail.into_iter().fold(query, AuditQuery::detail);
        query = if self.refused { query.refused() } else { query };
        query = if self.by_occurrence { query.by_occurrence() } else { query };
        if self.newest_first { query.newest_first() } else { query.oldest_first() }
    }

    /// Applies all parameters to `query`.
    pub fn apply(&self, query: AuditQuery) -> AuditQuery {
        let query = self.limit.into_iter().fold(self.apply_filters(query), AuditQuery::limit);
        self.cursor.into_iter().fold(query, AuditQuery::cursor)
    }
}

/// A time with its zone, or a date: its midnight in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Timestamp);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<RangeBound>() {
            Ok(RangeBound::Time(time)) => Ok(Self(time)),
            Ok(_) => Err(format!(
                "`{}` is not a time: write one with its zone (2026-01-31T10:00:00Z)",
                text.escape_debug()
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_conversions!(Time);
