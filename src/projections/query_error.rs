//! What the built-in queries share: [`QueryError`], and the checks of names.

use std::time::Duration;

use super::{InvalidRangeBound, RangeBound};
use crate::events::{InvalidRef, InvalidTopic, Topic, Types};
use crate::text::name_list;

/// How long a query waits to read a write of its caller's.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A question that cannot be answered as it is put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// An actor, target or aggregate is not a reference.
    #[error(transparent)]
    Reference(#[from] InvalidRef),
    /// A topic is malformed.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// A bound is malformed.
    #[error(transparent)]
    Bound(#[from] InvalidRangeBound),
    /// No event of this application can lie at or below the topic.
    #[error("no event has the topic `{topic}` or a topic below it: topics begin with {roots}")]
    UnknownTopic {
        /// The topic asked for.
        topic: String,
        /// The roots that there are, in words.
        roots: String,
    },
    /// No event of this application is, or was, called so.
    #[error("there is no event type `{event}`: there are {known}")]
    UnknownEvent {
        /// The name asked for.
        event: String,
        /// Those that it may have been meant to be, in words.
        known: String,
    },
    /// Nothing was asked for.
    #[error("a limit of 0 returns nothing: give 1 or more, or omit it")]
    NoLimit,
    /// One filter has too many values.
    #[error("{filter} is given {given} times; the limit is {most}: split the query")]
    TooMany {
        /// Which.
        filter: &'static str,
        /// How many values it has.
        given: usize,
        /// How many it may have.
        most: usize,
    },
    /// The range runs backwards.
    #[error("the range ends at {until}, before its start at {from}: swap them")]
    EndBeforeStart {
        /// Where it begins.
        from: RangeBound,
        /// Where it ends.
        until: RangeBound,
    },
    /// A cursor is no cursor.
    #[error("the cursor is malformed: pass it unchanged, or omit it")]
    DamagedCursor,
    /// A cursor belongs to another question.
    #[error("the cursor belongs to another query: repeat that query's filters, range and order")]
    OtherCursor,
    /// Live events come in the order in which they happen.
    #[error("`--follow` cannot be combined with `--newest-first`")]
    FollowNewestFirst,
    /// Live events come in the order in which they are recorded.
    #[error(
        "`--follow` cannot be combined with the order of occurrence: new events may have occurred at any time"
    )]
    FollowByOccurrence,
    /// An empty text is in everything.
    #[error("an empty search text matches every event: give a text, or omit it")]
    NoText,
}

/// Whether the application has such a topic.
pub(crate) fn check_topic(topic: &Topic, types: &Types) -> Result<(), QueryError> {
    if *topic == Topic::root() || types.knows_topic(topic) {
        return Ok(());
    }
    let roots = name_list(&types.topic_roots());
    Err(QueryError::UnknownTopic { topic: topic.as_str().escape_debug().to_string(), roots })
}

/// The event's name now.
pub(crate) fn check_event(event: &str, types: &Types) -> Result<&'static str, QueryError> {
    if let Some(known) = types.get(event) {
        return Ok(known.declaration.event_type);
    }
    let family = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let all = || types.iter().map(|known| known.declaration.event_type.to_owned());
    let mut known: Vec<String> = all().filter(|name| family(name) == family(event)).collect();
    if known.is_empty() {
        known = all().map(|name| format!("{}.…", family(&name))).collect();
        known.dedup();
    }
    Err(QueryError::UnknownEvent { event: event.escape_debug().to_string(), known: name_list(&known) })
}

/// Whether the range runs backwards, as far as its bounds alone tell.
pub(crate) fn check_range(from: Option<RangeBound>, until: Option<RangeBound>) -> Result<(), QueryError> {
    match (from, until) {
        (Some(from), Some(until)) if from.is_after(&until) => Err(QueryError::EndBeforeStart { from, until }),
        _ => Ok(()),
    }
}
