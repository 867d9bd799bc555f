//! [`QueryError`]: errors of the built-in queries, and the checks of names and ranges.

use std::time::Duration;

use super::{InvalidRangeBound, RangeBound};
use crate::events::{InvalidRef, InvalidTopic, Topic, Types};
use crate::text::name_list;

/// The default time that a query waits for a write of its caller.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An invalid query.
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
    /// No event of this application can have the topic or one below it.
    #[error("no event has the topic `{topic}` or a topic below it: topics begin with {roots}")]
    UnknownTopic {
        /// The topic in the query.
        topic: String,
        /// The root topics of the application, as a list.
        roots: String,
    },
    /// No event type of this application has or had this name.
    #[error("there is no event type `{event}`: there are {known}")]
    UnknownEvent {
        /// The name in the query.
        event: String,
        /// Similar names, as a list.
        known: String,
    },
    /// The limit is 0.
    #[error("a limit of 0 returns nothing: give 1 or more, or omit it")]
    NoLimit,
    /// One filter has too many values.
    #[error("{filter} is given {given} times; the limit is {most}: split the query")]
    TooMany {
        /// The filter.
        filter: &'static str,
        /// The number of its values.
        given: usize,
        /// The most values it may have.
        most: usize,
    },
    /// The range ends before it starts.
    #[error("the range ends at {until}, before its start at {from}: swap them")]
    EndBeforeStart {
        /// The start of the range.
        from: RangeBound,
        /// The end of the range.
        until: RangeBound,
    },
    /// A cursor is malformed.
    #[error("the cursor is malformed: pass it unchanged, or omit it")]
    DamagedCursor,
    /// A cursor belongs to another query.
    #[error("the cursor belongs to another query: repeat that query's filters, range and order")]
    OtherCursor,
    /// Live events arrive in the order of the log.
    #[error("`--follow` cannot be combined with `--newest-first`")]
    FollowNewestFirst,
    /// Live events arrive in the order in which they are recorded.
    #[error("`--follow` cannot be combined with the order of occurrence: new events may have occurred at any time")]
    FollowByOccurrence,
    /// Which events contain a text says something about their values.
    #[error("metadata cannot be filtered by text: ask for the detail `full`, or omit the text")]
    TextOfMetadata,
    /// An empty text matches everything.
    #[error("an empty search text matches every event: give a text, or omit it")]
    NoText,
}

/// Fails if the application has no such topic.
pub(crate) fn check_topic(topic: &Topic, types: &Types) -> Result<(), QueryError> {
    if *topic == Topic::root() || types.knows_topic(topic) {
        return Ok(());
    }
    let roots = name_list(types.topic_roots());
    Err(QueryError::UnknownTopic { topic: topic.as_str().escape_debug().to_string(), roots })
}

/// The current name of the event type.
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

/// Fails if the range ends before it starts, as far as the bounds alone show.
pub(crate) fn check_range(from: Option<RangeBound>, until: Option<RangeBound>) -> Result<(), QueryError> {
    match (from, until) {
        (Some(from), Some(until)) if from.is_after(&until) => Err(QueryError::EndBeforeStart { from, until }),
        _ => Ok(()),
    }
}
