//! [`AuditFilter`]: which events an audit query selects.
//!
//! This is the only list of all filters. [`AuditFilter::values`] is its canonical form, from which come the description
//! of a query, the record of a read, the fingerprint in a cursor and the columns of the SQL statement.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::str::FromStr;

use jiff::Timestamp;

use super::AuditRow;
use super::tables::NAMES;
use super::text_search::{TextSearch, folded};
use crate::events::{Action, DecodeError, Ref, Stored, Topic, Types};
use crate::projections::dictionary::{self, Key, key};
use crate::projections::query_error::check_range;
use crate::projections::{QueryError, RangeBound};
use crate::store::{StoreError, ViewSnapshot};

/// The most values of one filter: each may become an arm of a union.
const MAX_VALUES: usize = 64;

/// Which events an audit query selects. An event matches a filter with several values if it has any of them, and has to
/// match all filters that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFilter {
    /// The actors.
    pub actors: BTreeSet<Ref>,
    /// The targets, the aggregate of an event among them.
    pub targets: BTreeSet<Ref>,
    /// The topics; each includes the topics below it.
    pub topics: BTreeSet<Topic>,
    /// The actions.
    pub actions: BTreeSet<Action>,
    /// The event types, by their current names.
    pub events: BTreeSet<String>,
    /// The aggregates.
    pub aggregates: BTreeSet<Ref>,
    /// The correlations.
    pub correlations: BTreeSet<String>,
    /// Texts in the sentence or in a string value of the payload, in the form in which they are compared: see
    /// [`AuditQuery::text`](super::AuditQuery::text).
    pub texts: BTreeSet<String>,
    /// The start of the range, inclusive.
    pub from: Option<RangeBound>,
    /// The end of the range, exclusive.
    pub until: Option<RangeBound>,
    /// The earliest time of occurrence, inclusive.
    pub occurred_from: Option<Timestamp>,
    /// The latest time of occurrence, exclusive.
    pub occurred_until: Option<Timestamp>,
}

/// The filters of a recorded read: the values as text, by the filter's name (`actor`, `target`, `topic`, `from` …). No
/// entry: everything.
pub type RecordedFilters = BTreeMap<String, Vec<String>>;

/// The name of the filter by text in a record. Earlier versions compared the JSON of the payload, and recorded `text`: what
/// such a read returned is no longer known, so that name is not read back.
const RECORDED_TEXT: &str = "folded text";

/// A table of the audit log and one of its columns.
pub(super) type Column = (&'static str, &'static str);

pub(super) const CORRELATION: Column = ("entries", "correlation");
pub(super) const AGGREGATE: Column = ("entries", "aggregate");
pub(super) const ACTOR: Column = ("entries", "actor");
pub(super) const EVENT: Column = ("entries", "event_type");
pub(super) const ACTION: Column = ("entries", "action");
pub(super) const TARGET: Column = ("targets", "target");
pub(super) const TOPIC: Column = ("topics", "topic");

/// The indexed column of a filter. The other filters are the range and those that are applied to the row.
fn column(filter: &str) -> Option<Column> {
    Some(match filter {
        "correlation" => CORRELATION,
        "target" => TARGET,
        "aggregate" => AGGREGATE,
        "topic" => TOPIC,
        "actor" => ACTOR,
        "event" => EVENT,
        "action" => ACTION,
        _ => return None,
    })
}

impl AuditFilter {
    /// The canonical form: each filter that is set, with its values as text. The filters that tend to be the most
    /// selective come first.
    pub(super) fn values(&self) -> Vec<(&'static str, Vec<String>)> {
        fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
            values.into_iter().map(|value| value.to_string()).collect()
        }
        let mut values = vec![
            ("correlation", texts(&self.correlations)),
            ("target", texts(&self.targets)),
            ("aggregate", texts(&self.aggregates)),
            ("topic", texts(&self.topics)),
            ("actor", texts(&self.actors)),
            ("event", texts(&self.events)),
            ("action", texts(&self.actions)),
            ("text", texts(&self.texts)),
            ("from", texts(self.from)),
            ("until", texts(self.until)),
            ("occurred from", texts(self.occurred_from)),
            ("occurred until", texts(self.occurred_until)),
        ];
        values.retain(|(_, values)| !values.is_empty());
        values
    }

    /// The filter as the record of a read holds it.
    #[must_use]
    pub fn recorded(&self) -> RecordedFilters {
        let name = |name| if name == "text" { RECORDED_TEXT } else { name };
        self.values().into_iter().map(|(filter, values)| (name(filter).to_owned(), values)).collect()
    }

    /// The filter of a recorded read. A filter that this version does not know, or cannot parse, is left out, so that the
    /// result matches at least what was read.
    #[must_use]
    pub fn from_recorded(recorded: &RecordedFilters, types: &Types) -> Self {
        fn parsed<T: FromStr + Ord>(values: &[String]) -> BTreeSet<T> {
            values.iter().map(|value| value.parse()).collect::<Result<_, _>>().unwrap_or_default()
        }
        fn first<T: FromStr>(values: &[String]) -> Option<T> {
            values.first()?.parse().ok()
        }
        // Not checked: a reference that no event can have selects nothing.
        fn references(values: &[String]) -> BTreeSet<Ref> {
            let parts = values.iter().filter_map(|value| value.split_once(':'));
            parts.map(|(kind, id)| Ref::unchecked(kind, id)).collect()
        }
        let current =
            |name: &String| types.get(name).map_or(name.clone(), |it| it.declaration.event_type.to_owned());
        let values = |name| recorded.get(name).map(Vec::as_slice).unwrap_or_default();
        Self {
            actors: references(values("actor")),
            targets: references(values("target")),
            topics: parsed(values("topic")),
            actions: parsed(values("action")),
            events: values("event").iter().map(current).collect(),
            aggregates: references(values("aggregate")),
            correlations: parsed(values("correlation")),
            texts: values(RECORDED_TEXT).iter().map(|text| folded(text)).collect(),
            from: first(values("from")),
            until: first(values("until")),
            occurred_from: first(values("occurred from")),
            occurred_until: first(values("occurred until")),
        }
    }

    /// Whether the filter selects this row.
    #[must_use]
    pub fn matches(&self, row: &AuditRow) -> bool {
        fn any<T>(wanted: &BTreeSet<T>, has: impl FnMut(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(has)
        }
        any(&self.actors, |actor| *actor == row.actor)
            && any(&self.targets, |target| row.targets.contains(target))
            && any(&self.topics, |topic| row.topics.iter().any(|other| topic.contains(other)))
            && any(&self.actions, |action| *action == row.action)
            && any(&self.events, |event| *event == row.event_type)
            && any(&self.aggregates, |aggregate| *aggregate == row.aggregate)
            && any(&self.correlations, |correlation| row.correlation.as_ref() == Some(correlation))
            && self.from.is_none_or(|from| is_at_or_after(row, from))
            && self.until.is_none_or(|until| !is_at_or_after(row, until))
            && self.occurred_from.is_none_or(|from| row.occurred_at >= from)
            && self.occurred_until.is_none_or(|until| row.occurred_at < until)
            && (self.texts.is_empty() || {
                let mut search = TextSearch::new(&self.texts);
                search.is_in_values(row.payload.get()) || search.is_in(&row.sentence)
            })
    }

    /// Whether the sentence or a string value of a stored event contains one of the texts. The sentence is only made if it
    /// is needed.
    pub(super) fn matches_text(&self, stored: &Stored, types: &Types) -> Result<bool, DecodeError> {
        let mut search = TextSearch::new(&self.texts);
        if self.texts.is_empty() || search.is_in_values(&stored.payload) {
            return Ok(true);
        }
        let known = types.of(stored)?;
        Ok(search.is_in(&known.sentence(stored, &known.describe(stored)?)))
    }

    /// Whether only a reader of whole events may use it: which events it selects depends on values in them.
    #[must_use]
    pub fn needs_full(&self) -> bool {
        !self.texts.is_empty()
    }

    /// Checks what can be checked without reading the log, and removes topics that select nothing new: the root, and those
    /// below another one.
    pub(super) fn check_and_simplify(&mut self) -> Result<(), QueryError> {
        check_range(self.from, self.until)?;
        check_range(self.occurred_from.map(RangeBound::Time), self.occurred_until.map(RangeBound::Time))?;
        if let Some((filter, values)) = self.values().into_iter().find(|(_, values)| values.len() > MAX_VALUES) {
            return Err(QueryError::TooMany { filter, given: values.len(), most: MAX_VALUES });
        }
        let topics = std::mem::take(&mut self.topics);
        if !topics.contains(&Topic::root()) {
            let covered = |topic: &Topic| topics.iter().any(|above| above != topic && above.contains(topic));
            self.topics = topics.iter().filter(|topic| !covered(topic)).cloned().collect();
        }
        Ok(())
    }

    /// The range of times of occurrence, in microseconds.
    pub(super) fn occurred(&self) -> Option<Range<i64>> {
        // The first whole microsecond at or after the time.
        let micros =
            |time: Timestamp| i64::try_from(-(-time.as_nanosecond()).div_euclid(1_000)).unwrap_or(i64::MAX);
        let (from, until) = (self.occurred_from.map(micros), self.occurred_until.map(micros));
        (from.is_some() || until.is_some()).then(|| from.unwrap_or(i64::MIN)..until.unwrap_or(i64::MAX))
    }

    /// The filter in the numbers of the audit log's tables; `None` if no event can match, because the log holds no value of
    /// one filter. It takes one statement, whatever the filter.
    pub(super) async fn resolved(
        &self,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<Option<ResolvedFilter>, StoreError> {
        let indexed = self.values().into_iter().filter_map(|(name, values)| {
            let keys: Vec<Key> = values.iter().map(|value| key(None, value)).collect();
            Some((column(name)?, keys))
        });
        let indexed: Vec<(Column, Vec<Key>)> = indexed.collect();
        let keys: Vec<Key> = indexed.iter().flat_map(|(_, keys)| keys).copied().collect();
        let numbers: HashMap<Key, i64> = dictionary::numbers(&NAMES, &keys, snapshot).await?;
        let columns = indexed.into_iter().map(|(column, keys)| ColumnFilter {
            column,
            values: keys.iter().filter_map(|key| numbers.get(key).copied()).collect(),
        });
        let columns: Vec<ColumnFilter> = columns.collect();
        if columns.iter().any(|filter| filter.values.is_empty()) {
            return Ok(None);
        }
        Ok(Some(ResolvedFilter { columns, occurred: self.occurred() }))
    }
}

fn is_at_or_after(row: &AuditRow, bound: RangeBound) -> bool {
    match bound {
        RangeBound::Position(position) => row.position >= position,
        RangeBound::Id(id) => row.event_id >= id,
        RangeBound::Time(time) => row.recorded_at >= time,
    }
}

/// A column that has to hold one of these numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnFilter {
    pub column: Column,
    pub values: Vec<i64>,
}

/// A filter in the numbers of the audit log's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResolvedFilter {
    pub columns: Vec<ColumnFilter>,
    /// The range of times of occurrence, in microseconds.
    pub occurred: Option<Range<i64>>,
}
