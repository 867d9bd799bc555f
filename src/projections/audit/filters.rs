//! [`Filters`]: what is asked for.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::names::{Key, key, resolve};
use crate::events::{Action, Ref, Topic};
use crate::store::{StoreError, ViewSnapshot};

/// How many values one filter may have: each may become an arm of a union.
pub(super) const MOST_VALUES: usize = 64;

/// What is asked for. A filter with several values wants any of them; all filters that have one must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub actors: BTreeSet<Ref>,
    pub targets: BTreeSet<Ref>,
    pub topics: BTreeSet<Topic>,
    pub actions: BTreeSet<Action>,
    pub events: BTreeSet<&'static str>,
    pub aggregates: BTreeSet<Ref>,
    pub correlations: BTreeSet<String>,
    /// In lower case.
    pub texts: BTreeSet<String>,
}

/// A table of the audit log and one of its columns.
pub(super) type Column = (&'static str, &'static str);

pub(super) const CORRELATION: Column = ("entries", "correlation");
pub(super) const AGGREGATE: Column = ("entries", "aggregate");
pub(super) const ACTOR: Column = ("entries", "actor");
pub(super) const EVENT: Column = ("entries", "event_type");
pub(super) const ACTION: Column = ("entries", "action");
pub(super) const TARGET: Column = ("targets", "target");
pub(super) const TOPIC: Column = ("topics", "topic");

impl Filters {
    /// Leaves out what says nothing: a topic below another one that is asked for, and the root.
    pub(super) fn simplify(&mut self) {
        let topics = std::mem::take(&mut self.topics);
        if topics.contains(&Topic::root()) {
            return;
        }
        let covered = |topic: &Topic| topics.iter().any(|above| above != topic && above.contains(topic));
        self.topics = topics.iter().filter(|topic| !covered(topic)).cloned().collect();
    }

    /// The filters that have values and an index that ends in the position, first those that tend to tell the most.
    pub(super) fn given(&self) -> Vec<(Column, Vec<&str>)> {
        fn texts<T>(values: &BTreeSet<T>, text: impl Fn(&T) -> &str) -> Vec<&str> {
            values.iter().map(text).collect()
        }
        let mut given = vec![
            (CORRELATION, texts(&self.correlations, |text| text)),
            (TARGET, texts(&self.targets, Ref::as_str)),
            (AGGREGATE, texts(&self.aggregates, Ref::as_str)),
            (TOPIC, texts(&self.topics, Topic::as_str)),
            (ACTOR, texts(&self.actors, Ref::as_str)),
            (EVENT, texts(&self.events, |name| name)),
            (ACTION, texts(&self.actions, |action| action.as_str())),
        ];
        given.retain(|(_, values)| !values.is_empty());
        given
    }

    /// The filter with too many values, if there is one, and how many it has.
    pub(super) fn too_many(&self) -> Option<(&'static str, usize)> {
        let named = self.given().into_iter().map(|(column, values)| (column.1, values.len()));
        named.chain([("text", self.texts.len())]).find(|(_, values)| *values > MOST_VALUES)
    }

    /// The same with the numbers that the audit log has for the values; `None` if nothing can pass, because a filter has
    /// no value that the log holds. One statement, whatever is asked.
    pub(super) async fn resolved(
        &self,
        occurred: Option<Range<i64>>,
        snapshot: &mut dyn ViewSnapshot,
    ) -> Result<Option<Wanted>, StoreError> {
        let given = self.given();
        let keys: Vec<Key> = given.iter().flat_map(|(_, values)| values.iter().map(|value| key(value))).collect();
        let known: HashMap<Key, i64> = resolve(snapshot, &keys).await?;
        let filters = given.into_iter().map(|(column, values)| Filter {
            column,
            values: values.iter().filter_map(|value| known.get(&key(value)).copied()).collect(),
        });
        let filters: Vec<Filter> = filters.collect();
        if filters.iter().any(|filter| filter.values.is_empty()) {
            return Ok(None);
        }
        Ok(Some(Wanted { filters, occurred }))
    }
}

/// One filter: any of these numbers in that column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub column: Column,
    pub values: Vec<i64>,
}

/// What is asked for, in the audit log's own numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub filters: Vec<Filter>,
    /// Times of occurrence, in microseconds.
    pub occurred: Option<Range<i64>>,
}
