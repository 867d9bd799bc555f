//! [`ChildTopics`]: the topics one step below another one.

use serde::{Deserialize, Serialize};

use super::answer::MetricPlan;
use super::{MetricError, names};
use crate::events::{LogPosition, Topic};

/// The topics with events one step below another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildTopics {
    /// The parent topic.
    pub topic: Topic,
    /// The log position that the list reflects.
    pub head: LogPosition,
    /// The child topics, sorted by name; if the list is not complete, the first ones in the order of the log.
    pub topics: Vec<Topic>,
    /// Whether the list is complete.
    pub complete: bool,
}

impl MetricPlan {
    pub(super) async fn child_topics(&self, most: usize) -> Result<ChildTopics, MetricError> {
        self.wait().await?;
        let mut snapshot = self.reading.snapshot().await?;
        let head = snapshot.head();
        // One more shows whether the list is complete.
        let mut found = names::child_topics(&self.topic, most.saturating_add(1), &mut *snapshot).await?;
        let complete = found.len() <= most;
        found.truncate(most);
        found.sort_unstable();
        let topics = found.iter().filter_map(|topic| topic.parse().ok()).collect();
        Ok(ChildTopics { topic: self.topic.clone(), head, topics, complete })
    }
}
