//! [`Entry`]: what the metrics keep of one event.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::events::{DecodeError, Stored, Types};
use crate::store::{Cell, Row};

/// The columns of an entry, in the order of [`Entry::row`].
pub(super) const COLUMNS: &str = "position, recorded_at, event_type, actor, targets, topics";

/// One event, as far as it is counted.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub position: u64,
    /// When it was recorded, in microseconds.
    pub at: i64,
    pub event_type: String,
    pub actor: String,
    pub targets: Vec<String>,
    /// Its topics and all that lie above them, without the root.
    pub topics: Vec<String>,
}

impl Entry {
    pub fn of(types: &Types, stored: &Stored) -> Result<Self, DecodeError> {
        let known = types.of(stored)?;
        let described = known.describe(stored)?;
        let topics = known.topics(stored, &described);
        let topics: BTreeSet<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
        // Nobody can ask for a topic with a NUL, and Postgres keeps none.
        let topics = topics.into_iter().filter(|topic| !topic.is_empty() && !topic.contains('\0'));
        Ok(Self {
            position: stored.position,
            at: stored.recorded_at.as_microsecond(),
            event_type: known.declaration.event_type.to_owned(),
            actor: stored.metadata()?.actor.to_string(),
            targets: described.targets.iter().map(ToString::to_string).collect(),
            topics: topics.map(str::to_owned).collect(),
        })
    }

    /// Whether it counts for this topic.
    pub fn is_of(&self, topic: &str) -> bool {
        topic.is_empty() || self.topics.iter().any(|own| own == topic)
    }

    /// The topics that it counts for, the root among them.
    pub fn counts_for(&self) -> impl Iterator<Item = &str> {
        std::iter::once("").chain(self.topics.iter().map(String::as_str))
    }

    pub fn row(&self) -> Row {
        vec![
            self.position.into(),
            self.at.into(),
            self.event_type.as_str().into(),
            self.actor.as_str().into(),
            list(&self.targets),
            list(&self.topics),
        ]
    }

    /// The entry of a row; `None` if it is not one that was written here.
    pub fn read(row: &[Cell]) -> Option<Self> {
        let [position, at, event_type, actor, targets, topics] = row else { return None };
        Some(Self {
            position: u64::try_from(position.integer()?).ok()?,
            at: at.integer()?,
            event_type: event_type.text()?.to_owned(),
            actor: actor.text()?.to_owned(),
            targets: serde_json::from_str(targets.text()?).ok()?,
            topics: serde_json::from_str(topics.text()?).ok()?,
        })
    }
}

/// Whether the topics of an entry, as they are kept, are those of one that counts for this topic.
pub(super) fn are_of(topics: &str, topic: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    topic.is_empty()
        || serde_json::from_str::<Vec<Name<'_>>>(topics).is_ok_and(|own| own.iter().any(|Name(own)| own == topic))
}

/// Texts as a JSON list; there is nothing in them that JSON cannot say.
fn list(texts: &[String]) -> Cell {
    serde_json::to_string(texts).map_or(Cell::Null, Cell::Text)
}
