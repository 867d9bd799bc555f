//! [`Busiest`]: the most active actors and targets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::MetricPlan;
use super::axis::AxisReader;
use super::block_reader::Participants;
use super::frequency_table::Share;
use super::names::Kind;
use crate::events::{LogPosition, Ref, Topic};

/// The actors and targets of a topic and all topics below it, over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Busiest {
    /// The topic.
    pub topic: Topic,
    /// The log position that the counts reflect.
    pub head: LogPosition,
    /// The start of the window: as requested, or the time of the topic's first event; `None` if it has no event.
    pub from: Option<Timestamp>,
    /// The end of the window: as requested, but not after now.
    pub until: Timestamp,
    /// The number of different actors.
    pub distinct_actors: u64,
    /// The number of different targets.
    pub distinct_targets: u64,
    /// The actors with the most events; of equal counts, the first in the log comes first.
    pub actors: Vec<Busy>,
    /// The targets with the most events; of equal counts, the first in the log comes first.
    pub targets: Vec<Busy>,
}

/// An actor or target, and its number of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Busy {
    /// The actor or target.
    pub reference: Ref,
    /// The number of events.
    pub events: u64,
}

impl MetricPlan {
    pub(super) async fn busiest(&self, most: usize) -> Result<Busiest, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        let window = self.window(head).await?;
        let mut reader = AxisReader::for_topic(self.axis, &self.topic, &mut *snapshot).await?;
        let range = window.start..window.end;
        let range = std::slice::from_ref(&range);
        let actors = reader.frequencies(range, Participants::Actors).await?.pop().unwrap_or_default();
        let targets = reader.frequencies(range, Participants::Targets).await?.pop().unwrap_or_default();
        Ok(Busiest {
            topic: self.topic.clone(),
            head,
            from: self.begin(&window, &mut reader).await?,
            until: window.until,
            distinct_actors: actors.len() as u64,
            distinct_targets: targets.len() as u64,
            actors: top(actors, most, Kind::Actor, &mut reader).await?,
            targets: top(targets, most, Kind::Target, &mut reader).await?,
        })
    }
}

/// The entries with the highest counts; of equal counts, the first in the log, which has the smaller number.
async fn top(
    mut frequencies: Vec<Share>,
    most: usize,
    kind: Kind,
    reader: &mut AxisReader<'_>,
) -> Result<Vec<Busy>, MetricError> {
    let busier = |one: &Share, other: &Share| other.1.cmp(&one.1).then(one.0.cmp(&other.0));
    // Only the requested number of entries is sorted.
    if most > 0 && most < frequencies.len() {
        frequencies.select_nth_unstable_by(most - 1, busier);
    }
    frequencies.truncate(most);
    frequencies.sort_unstable_by(busier);
    let names = reader.names(kind, frequencies.iter().map(|(who, _)| *who)).await?;
    let busy = |(who, events): Share| Some(Busy { reference: names.get(&who)?.parse().ok()?, events });
    Ok(frequencies.into_iter().filter_map(busy).collect())
}
