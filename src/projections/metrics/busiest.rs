//! [`Busiest`]: who did most, and to what most was done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MetricError;
use super::answer::Plan;
use super::completing::Crowd;
use super::ledger::{Ledger, Who};
use crate::events::{Head, Ref, Topic};
use crate::store::StoreError;

/// The actors and targets of a topic and of all below it, over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Busiest {
    /// The topic.
    pub topic: Topic,
    /// The place in the log that it is true at.
    pub head: Head,
    /// When the window begins: as stated, or with the topic's first event; none if it has no event.
    pub from: Option<Timestamp>,
    /// When the window ends: as stated, but not after now.
    pub until: Timestamp,
    /// How many different actors there are.
    pub distinct_actors: u64,
    /// How many different targets there are.
    pub distinct_targets: u64,
    /// The busiest actors, those with most events first.
    pub actors: Vec<Busy>,
    /// The busiest targets, those with most events first.
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
        let mut ledger = Ledger { topic: self.topic.as_str(), snapshot: &mut *snapshot };
        let end = ledger.before(&[window.end]).await?;
        let end = end.first().ok_or(StoreError::Diverged(head))?;
        let range = window.start..window.end;
        let range = std::slice::from_ref(&range);
        let actors = ledger.crowds(range, Who::Actors).await?.pop().unwrap_or_default();
        let targets = ledger.crowds(range, Who::Targets).await?.pop().unwrap_or_default();
        Ok(Busiest {
            topic: self.topic.clone(),
            head,
            from: self.begin(&window, end).await?,
            until: window.until,
            distinct_actors: actors.len() as u64,
            distinct_targets: targets.len() as u64,
            actors: top(actors, most),
            targets: top(targets, most),
        })
    }
}

/// Those that occur most; of those that occur as often, the first by name.
fn top(crowd: Crowd, most: usize) -> Vec<Busy> {
    let busy = |(name, events): (String, u64)| Some(Busy { reference: name.parse().ok()?, events });
    let mut busy: Vec<Busy> = crowd.into_iter().filter_map(busy).collect();
    busy.sort_by(|one, other| other.events.cmp(&one.events).then_with(|| one.reference.cmp(&other.reference)));
    busy.truncate(most);
    busy
}
