//! [`FlowQueryParams`]: a query of flows as flags and URL parameters.

use serde::{Deserialize, Serialize};

use super::{FlowCursor, FlowQuery, Outcome};
use crate::events::Ref;
use crate::projections::audit::Time;

/// A query of flows as parameters: the flags of the command line and the query string of the HTTP API have these names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct FlowQueryParams {
    /// Only flows through this actor, a reference like app:planner
    #[cfg_attr(feature = "cli", arg(long, value_name = "KIND:ID"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Ref>,
    /// Only flows from this source: a reference like account:7, all of a kind (account:*), or a topic
    #[cfg_attr(feature = "cli", arg(long, value_name = "PLACE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only flows to this sink: a reference like host:192.0.2.7, or all of a kind (host:*)
    #[cfg_attr(feature = "cli", arg(long, value_name = "PLACE"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// Only flows that were used, denied or refused
    #[cfg_attr(feature = "cli", arg(long, value_name = "OUTCOME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Only from the minute of this time on
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Only before the minute of this time
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIME"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Maximum number of rows [default: 100]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "http", param(minimum = 1, maximum = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Cursor of an earlier page: repeat its filters
    #[cfg_attr(feature = "cli", arg(long, value_name = "CURSOR"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<FlowCursor>,
}

impl FlowQueryParams {
    /// The query with these parameters.
    pub fn apply(self, query: FlowQuery) -> FlowQuery {
        let query = self.actor.into_iter().fold(query, FlowQuery::actor);
        let query = self.source.into_iter().fold(query, FlowQuery::source);
        let query = self.sink.into_iter().fold(query, FlowQuery::sink);
        let query = self.outcome.into_iter().fold(query, FlowQuery::outcome);
        let query = self.from.into_iter().fold(query, |query, from| query.from(from.0));
        let query = self.until.into_iter().fold(query, |query, until| query.until(until.0));
        let query = self.limit.into_iter().fold(query, FlowQuery::limit);
        self.cursor.into_iter().fold(query, FlowQuery::cursor)
    }
}
