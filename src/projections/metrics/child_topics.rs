//! [`ChildTopics`]: the topics one step below another that the log has.

use serde::{Deserialize, Serialize};

use super::answer::Plan;
use super::{MetricError, names};
use crate::events::{LogPosition, Topic};

/// The topics one step below another that have events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildTopics {
    /// The topic.
    pub topic: Topic,
    /// The place in the log that it is true at.
    pub head: LogPosition,
    /// The topics below it, in the order of their names; if these are not all, those that came first in the log.
    pub topics: Vec<Topic>,
    /// Whether these are all.
    pub complete: bool,
}

impl Plan {
    pub(super) async fn child_topics(&self, most: usize) -> Result<ChildTopics, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        // One more tells whether these are all.
        let mut found = names::child_topics(&self.topic, most.saturating_add(1), &mut *snapshot).await?;
        let complete = found.len() <= most;
        found.truncate(most);
        found.sort_unstable();
        let topics = found.iter().filter_map(|topic| topic.parse().ok()).collect();
        Ok(ChildTopics { topic: self.topic.clone(), head, topics, complete })
    }
}
