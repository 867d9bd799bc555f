//! [`Metric`]: the counts of a topic over a range of the log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::{Action, LogPosition, Topic};
use crate::projections::{FollowEnd, QueryError, RangeBound, ReadError};
use crate::store::StoreError;

/// The counts of a topic and of all topics below it. In JSON the fields have this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Metric {
    /// The topic.
    pub topic: Topic,
    /// The log position that the metric reflects.
    pub head: LogPosition,
    /// The start of the window: as requested, or the time of the topic's first event; `None` if it has no event.
    pub from: Option<Timestamp>,
    /// The end of the window: as requested, but not after now; by occurrence it may be after now, if requested.
    pub until: Timestamp,
    /// The number of events in the window.
    pub total: u64,
    /// The number of events of each action; all four actions are present.
    pub by_action: BTreeMap<Action, u64>,
    /// The number of events of each event type that occurs in the window.
    pub by_event: BTreeMap<String, u64>,
    /// Events a minute, averaged over the window; `None` if the window is shorter than a minute.
    pub per_minute: Option<f64>,
    /// Events an hour, averaged over the window; `None` if the window is shorter than an hour.
    pub per_hour: Option<f64>,
    /// Events a day, averaged over the window; `None` if the window is shorter than a day.
    pub per_day: Option<f64>,
    /// The number of recent events.
    pub rates: Rates,
    /// Exponentially decaying rates of recent events.
    pub rolling: Rolling,
}

/// Exponentially decaying rates: an event of the window counts e^(-age), with its age at the window's end in
/// minutes, hours or days. For a steady flow of events each tends to the number of events in such a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Rolling {
    /// Events a minute, over about the last minute.
    pub per_minute: f64,
    /// Events an hour, over about the last hour.
    pub per_hour: f64,
    /// Events a day, over about the last day.
    pub per_day: f64,
}

/// The number of events in the rolling windows that end at the window's end. Events before the window do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Rates {
    /// In the last 60 seconds.
    pub last_minute: u64,
    /// In the last 60 minutes.
    pub last_hour: u64,
    /// In the last 24 hours.
    pub last_day: u64,
}

impl Metric {
    /// Whether the counts equal those of `other`. Positions, times and averages always change.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.total == other.total && self.by_event == other.by_event && self.rates == other.rates
    }
}

/// An error of a query for metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The query is invalid.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The metrics cannot be read, or have not reached the wanted position in time.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The window has more slices than can be compared.
    #[error(
        "the window has {slices} slices of this width; the limit is {most}: request a shorter window or wider slices"
    )]
    TooManySlices {
        /// The number of slices.
        slices: u64,
        /// The most slices allowed.
        most: u64,
    },
    /// The slices are narrower than a second.
    #[error("a slice must be at least one second wide")]
    NoWidth,
    /// The application does not keep metrics by occurrence.
    #[error("metrics by occurrence are not kept: declare them with `App::metrics_by_occurrence`")]
    NotByOccurrence,
    /// The bound of a query by occurrence is a position or an event id.
    #[error("`{0}` is a place in the log, and metrics by occurrence have no such order: give a time as bound")]
    BoundIsNoTime(RangeBound),
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It may not be watched, or not any longer.
    #[error(transparent)]
    Follow(#[from] FollowEnd),
}

impl MetricError {
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}
