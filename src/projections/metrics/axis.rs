//! [`AxisReader`]: reads the numbers of one topic along one of two axes: by when events were recorded, or by when they
//! occurred.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use jiff::Timestamp;

use super::MetricError;
use super::block_reader::{BlockReader, Participants};
use super::entry::ROOT;
use super::frequency_table::Share;
use super::names::{self, Kind};
use super::slot_reader::{SlotReader, point};
use super::slots::MOMENTS;
use crate::events::Topic;
use crate::projections::ReadError;
use crate::store::ViewSnapshot;

/// The order of events along which a metric is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Axis {
    /// By when they were recorded: the order of the log.
    #[default]
    Recorded,
    /// By when they occurred.
    Occurred,
}

/// The numbers of a topic between consecutive points of an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// The number of events from each point to the next one.
    pub totals: Vec<u64>,
    /// The number of events of each type from the first point to the last, by the type's number.
    pub types: BTreeMap<u32, u64>,
    /// The rolling rates from the first point to the last.
    pub rolling: [f64; 3],
    /// The point of the topic's first event, if that needs no further read.
    pub first: Option<u64>,
}

/// Reads the numbers of one topic. A point of the axis is a position, or a time as [`point`] has it.
pub(super) enum AxisReader<'a> {
    Recorded(BlockReader<'a>),
    Occurred(SlotReader<'a>),
}

impl<'a> AxisReader<'a> {
    /// A reader for a topic.
    pub async fn for_topic(
        axis: Axis,
        topic: &Topic,
        snapshot: &'a mut dyn ViewSnapshot,
    ) -> Result<Self, MetricError> {
        let number = match topic.as_str() {
            "" => Some(ROOT),
            name => names::find(Kind::Topic, name, snapshot).await?,
        };
        match axis {
            Axis::Recorded => Ok(Self::Recorded(BlockReader::new(number, snapshot))),
            Axis::Occurred if snapshot.has_table(MOMENTS.name).await? => {
                Ok(Self::Occurred(SlotReader { topic: number, snapshot }))
            }
            Axis::Occurred => Err(MetricError::NotByOccurrence),
        }
    }

    /// The names of these numbers.
    pub async fn names(
        &mut self,
        kind: Kind,
        numbers: impl IntoIterator<Item = u32>,
    ) -> Result<HashMap<u32, String>, ReadError> {
        let snapshot = match self {
            Self::Recorded(reader) => reader.snapshot(),
            Self::Occurred(reader) => &mut *reader.snapshot,
        };
        Ok(names::names(kind, numbers, snapshot).await?)
    }

    /// The numbers between consecutive points, in order, with the rolling rates at `until`.
    pub async fn measure(&mut self, points: &[u64], until: Timestamp) -> Result<Measured, ReadError> {
        match self {
            Self::Recorded(reader) => reader.measure(points, until).await,
            Self::Occurred(reader) => reader.measure(points, until).await,
        }
    }

    /// The point of the topic's first event before `end`.
    pub async fn first(&mut self, end: u64) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Recorded(reader) => {
                Ok(reader.before(&[end]).await?.first().and_then(super::prefix_sums::PrefixSums::first))
            }
            Self::Occurred(reader) => reader.first(end).await,
        }
    }

    /// How often each actor, or each target, occurs in each of these ranges.
    pub async fn frequencies(
        &mut self,
        ranges: &[Range<u64>],
        who: Participants,
    ) -> Result<Vec<Vec<Share>>, ReadError> {
        match self {
            Self::Recorded(reader) => reader.frequencies(ranges, who).await,
            Self::Occurred(reader) => reader.frequencies(ranges, who).await,
        }
    }

    /// For each of these times the point of the first event then or later.
    pub async fn places(&mut self, times: &[Timestamp]) -> Result<Vec<u64>, ReadError> {
        match self {
            Self::Recorded(reader) => reader.places(times).await,
            Self::Occurred(_) => Ok(times.iter().map(|time| point(*time)).collect()),
        }
    }
}
