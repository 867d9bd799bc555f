//! [`Busiest`]: who did most, and to what most was done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::Plan;
use super::block_reader::{BlockReader, Who};
use super::frequency_table::Share;
use super::names::Kind;
use crate::events::{LogPosition, Ref, Topic};
use crate::store::StoreError;

/// The actors and targets of a topic and of all below it, over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Busiest {
    /// The topic.
    pub topic: Topic,
    /// The place in the log that it is true at.
    pub head: LogPosition,
    /// When the window begins: as stated, or with the topic's first event; none if it has no event.
    pub from: Option<Timestamp>,
    /// When the window ends: as stated, but not after now.
    pub until: Timestamp,
    /// How many different actors there are.
    pub distinct_actors: u64,
    /// How many different targets there are.
    pub distinct_targets: u64,
    /// The busiest actors, those with most events first; of as many, who came first in the log.
    pub actors: Vec<Busy>,
    /// The busiest targets, those with most events first; of as many, who came first in the log.
    pub targets: Vec<Busy>,
}

/// An actor or target, and how many events there are of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Busy {
    /// Who, or what.
    pub reference: Ref,
    /// How many events.
    pub events: u64,
}

impl Plan {
    pub(super) async fn busiest(&self, most: usize) -> Result<Busiest, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        let window = self.window(head).await?;
        let mut reader = BlockReader::of(&self.topic, &mut *snapshot).await?;
        let end = reader.before(&[window.end]).await?;
        let end = end.first().ok_or(StoreError::Diverged(head))?;
        let range = window.start..window.end;
        let range = std::slice::from_ref(&range);
        let actors = reader.frequencies(range, Who::Actors).await?.pop().unwrap_or_default();
        let targets = reader.frequencies(range, Who::Targets).await?.pop().unwrap_or_default();
        Ok(Busiest {
            topic: self.topic.clone(),
            head,
            from: self.begin(&window, end).await?,
            until: window.until,
            distinct_actors: actors.len() as u64,
            distinct_targets: targets.len() as u64,
            actors: top(actors, most, Kind::Actor, &mut reader).await?,
            targets: top(targets, most, Kind::Target, &mut reader).await?,
        })
    }
}

/// Those that occur most; of those that occur as often, who came first in the log: that one has the smaller number.
async fn top(
    mut frequencies: Vec<Share>,
    most: usize,
    kind: Kind,
    reader: &mut BlockReader<'_>,
) -> Result<Vec<Busy>, MetricError> {
    let busier = |one: &Share, other: &Share| other.1.cmp(&one.1).then(one.0.cmp(&other.0));
    // Only as many are put in order as are asked for.
    if most > 0 && most < frequencies.len() {
        frequencies.select_nth_unstable_by(most - 1, busier);
    }
    frequencies.truncate(most);
    frequencies.sort_unstable_by(busier);
    let names = reader.names(kind, frequencies.iter().map(|(who, _)| *who)).await?;
    let busy = |(who, events): Share| Some(Busy { reference: names.get(&who)?.parse().ok()?, events });
    Ok(frequencies.into_iter().filter_map(busy).collect())
}
