//! [`Metric`]: what is known of a topic over a range of the log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::{Action, LogPosition, Topic};
use crate::projections::{QueryError, ReadError};
use crate::store::StoreError;

/// The counts of a topic and of all below it. As JSON its fields come in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Metric {
    /// The topic.
    pub topic: Topic,
    /// The place in the log that the metric is true at.
    pub head: LogPosition,
    /// When the window begins: as stated, or with the topic's first event; none if it has no event.
    pub from: Option<Timestamp>,
    /// When the window ends: as stated, but not after now.
    pub until: Timestamp,
    /// How many events there are in the window.
    pub total: u64,
    /// How many of each action; all four are there.
    pub by_action: BTreeMap<Action, u64>,
    /// How many of each event type that occurs in the window.
    pub by_event: BTreeMap<String, u64>,
    /// Events per minute, on average over the window, or over one minute if the window is shorter.
    pub per_minute: f64,
    /// Events per hour, on average over the window, or over one hour if the window is shorter.
    pub per_hour: f64,
    /// Events per day, on average over the window, or over one day if the window is shorter.
    pub per_day: f64,
    /// How many lately.
    pub rates: Rates,
    /// How many lately, on an average that forgets.
    pub rolling: Rolling,
}

/// Averages over the events of the window that forget: an event counts for e to the power of minus its age at the window's
/// end, in minutes, hours or days. Where events come steadily, each tends to how many there are in such a time.
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

/// How many events there are in the rolling windows that end where the window ends. None is counted that lies
/// before the window.
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
    /// Whether the counts are those of `other`: places and times pass, and averages with them.
    pub(super) fn counts_like(&self, other: &Self) -> bool {
        self.total == other.total && self.by_event == other.by_event && self.rates == other.rates
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// The question cannot be answered as it is put.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The metrics cannot be read, or are not yet where they should be.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There would be more slices than can be judged at a time.
    #[error(
        "the window has {slices} slices of this width; the limit is {most}: request a shorter window or wider slices"
    )]
    TooManySlices {
        /// How many there would be.
        slices: u64,
        /// How many there may be.
        most: u64,
    },
    /// Slices without width.
    #[error("a slice must be at least one second wide")]
    NoWidth,
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MetricError {
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Store(StoreError::Closed) | Self::Read(ReadError::Store(StoreError::Closed)))
    }
}
