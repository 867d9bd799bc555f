//! [`MetricQueryParams`]: a metric query as flags and URL parameters, and [`MetricReport`], its result.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Anomalies, Buckets, Busiest, Metric, MetricError, MetricQuery};
use crate::projections::RangeBound;
use crate::text::text_conversions;

/// Defaults for the number of busiest actors and targets, and of slices.
const BUSIEST: usize = 5;
const SLICES: usize = 60;

/// A query for the metrics of a topic, as command-line flags and URL parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[cfg_attr(feature = "http", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "http", into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct MetricQueryParams {
    /// Measure events by when they occurred, not by when they were recorded; bounds are times then
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_occurrence: bool,
    /// Only events recorded at or after this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<RangeBound>,
    /// Only events recorded before this position, event id or time
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOUND"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<RangeBound>,
    /// Number of busiest actors and targets; 0 omits them [default: 5]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "http", param(maximum = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busiest: Option<usize>,
    /// Number of time slices for plots, at most 1000 [default: 60]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    #[cfg_attr(feature = "http", param(maximum = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slices: Option<usize>,
    /// Report unusual activity in time slices of this width: 15m, 1h, 1d
    #[cfg_attr(feature = "cli", arg(long, value_name = "WIDTH"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomalies: Option<Width>,
}

/// The metrics of a topic, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct MetricReport {
    /// The counts.
    #[serde(flatten)]
    pub metric: Metric,
    /// The busiest actors and targets, unless omitted.
    pub busiest: Option<Busiest>,
    /// The window in time slices.
    pub buckets: Buckets,
    /// Unusual activity, if requested.
    pub anomalies: Option<Anomalies>,
}

impl MetricQueryParams {
    /// Runs the query.
    ///
    /// # Errors
    /// As for [`MetricQuery`].
    pub async fn run(&self, query: MetricQuery) -> Result<MetricReport, MetricError> {
        let query = if self.by_occurrence { query.by_occurrence() } else { query };
        let query = self.from.into_iter().fold(query, MetricQuery::from);
        let query = self.until.into_iter().fold(query, MetricQuery::until);
        let busiest = match self.busiest.unwrap_or(BUSIEST) {
            0 => None,
            most => Some(query.clone().busiest(most).await?),
        };
        let anomalies = match self.anomalies {
            None => None,
            Some(width) => Some(query.clone().anomalies(width.0).await?),
        };
        let buckets = query.clone().buckets(self.slices.unwrap_or(SLICES)).await?;
        Ok(MetricReport { metric: query.await?, busiest, buckets, anomalies })
    }
}

/// A time span in jiff's format, with days allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Width(pub SignedDuration);

impl FromStr for Width {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u16>().ok());
        match days {
            Some(days) => Ok(Self(SignedDuration::from_hours(24 * i64::from(days)))),
            None => text
                .parse()
                .map(Self)
                .map_err(|_| format!("`{}` is no width: write 15m, 1h or 1d", text.escape_debug())),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

text_conversions!(Width);
