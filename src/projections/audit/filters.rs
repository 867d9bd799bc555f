//! [`Filters`]: what is asked for, and the SQL that finds it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::events::{Action, Ref, Topic};
use crate::store::{Cell, Row, ViewSnapshot};

/// How many values one filter may have: each may become an arm of a union.
pub(super) const MOST_VALUES: usize = 64;

/// Beyond so many events, one filter drives as badly as another.
const MOST_COUNTED: u64 = 10_000;

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
}

/// A table of the audit log and one of its columns.
type Column = (&'static str, &'static str);

const CORRELATION: Column = ("entries", "correlation");
const AGGREGATE: Column = ("entries", "aggregate");
const ACTOR: Column = ("entries", "actor");
const EVENT: Column = ("entries", "event_type");
const ACTION: Column = ("entries", "action");
const TARGET: Column = ("targets", "target");
const TOPIC: Column = ("topics", "topic");

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

    /// The filters that have values, first those that tend to tell the most. Each has an index of its own that ends in the position.
    pub(super) fn given(&self) -> Vec<(Column, Vec<Cell>)> {
        fn cells<T>(values: &BTreeSet<T>, text: impl Fn(&T) -> &str) -> Vec<Cell> {
            values.iter().map(|value| Cell::from(text(value))).collect()
        }
        let mut given = vec![
            (CORRELATION, cells(&self.correlations, |text| text)),
            (TARGET, cells(&self.targets, Ref::as_str)),
            (AGGREGATE, cells(&self.aggregates, Ref::as_str)),
            (TOPIC, cells(&self.topics, Topic::as_str)),
            (ACTOR, cells(&self.actors, Ref::as_str)),
            (EVENT, cells(&self.events, |name| name)),
            (ACTION, cells(&self.actions, |action| action.as_str())),
        ];
        given.retain(|(_, values)| !values.is_empty());
        given
    }

    /// The filter with too many values, if there is one, and how many it has.
    pub(super) fn too_many(&self) -> Option<(&'static str, usize)> {
        let (column, values) = self.given().into_iter().find(|(_, values)| values.len() > MOST_VALUES)?;
        Some((column.1, values.len()))
    }

    /// The statement that counts, for each filter that is given, the events in `range` that it lets through, as far as
    /// that matters; none when there is nothing to choose.
    pub(super) fn census(&self, range: &Range<u64>, snapshot: &dyn ViewSnapshot) -> Option<(String, Row)> {
        let given = self.given();
        if given.len() < 2 {
            return None;
        }
        let mut parameters: Row = vec![range.start.into(), range.end.into(), MOST_COUNTED.into()];
        let counts = given.into_iter().enumerate().map(|(n, (column, values))| {
            let (table, column) = indexed(column);
            let values =
                values.into_iter().map(|value| bind(value, &mut parameters)).collect::<Vec<_>>().join(", ");
            format!(
                "(SELECT count(*) FROM (SELECT 1 FROM {} x WHERE x.{column} IN ({values}) AND x.position >= $1 \
                 AND x.position < $2 LIMIT $3) AS count{n})",
                snapshot.table(table)
            )
        });
        let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(", "));
        Some((sql, parameters))
    }

    /// The statement for at most `limit` positions in `range`: one filter drives (the one that the census found to let
    /// the fewest through), value by value, down its index; the others are looked up for each position that it gives.
    /// No more than `limit` rows of a value are ever sorted.
    pub(super) fn statement(
        &self,
        driving: usize,
        range: &Range<u64>,
        newest_first: bool,
        limit: usize,
        snapshot: &dyn ViewSnapshot,
    ) -> (String, Row) {
        let mut parameters: Row =
            vec![range.start.into(), range.end.into(), Cell::Integer(i64::try_from(limit).unwrap_or(i64::MAX))];
        let order = if newest_first { "DESC" } else { "ASC" };
        let given = self.given();
        let driving = given.get(driving);
        let mut conditions = String::new();
        for table in ["entries", "targets", "topics"] {
            // An aggregate drives by the index of targets, among which it is: what it is, is then looked up too.
            let looked_up = |column: Column| {
                column.0 == table && (driving.is_none_or(|d| d.0 != column) || column == AGGREGATE)
            };
            let here: Vec<_> = given.iter().filter(|(column, _)| looked_up(*column)).collect();
            if !here.is_empty() {
                conditions += &exists(table, &here, &mut parameters, snapshot);
            }
        }
        let within =
            format!("d.position >= $1 AND d.position < $2{conditions} ORDER BY d.position {order} LIMIT $3");
        let Some((column, values)) = driving else {
            return (format!("SELECT d.position FROM {} d WHERE {within}", snapshot.table("entries")), parameters);
        };
        let (table, column) = indexed(*column);
        let table = snapshot.table(table);
        let mut arms: Vec<String> = Vec::with_capacity(values.len());
        for value in values {
            let value = bind(value.clone(), &mut parameters);
            arms.push(format!("SELECT d.position FROM {table} d WHERE d.{column} = {value} AND {within}"));
        }
        match arms.as_slice() {
            [only] => (only.clone(), parameters),
            arms => {
                let arms: Vec<String> = arms
                    .iter()
                    .enumerate()
                    .map(|(n, arm)| format!("SELECT position FROM ({arm}) AS arm{n}"))
                    .collect();
                (format!("{} ORDER BY position {order} LIMIT $3", arms.join(" UNION ")), parameters)
            }
        }
    }
}

/// Where a filter has its index: an aggregate is the first of its events' targets.
fn indexed(column: Column) -> Column {
    if column == AGGREGATE { TARGET } else { column }
}

/// ` AND EXISTS (…)`: the event has, in `table`, one of the values in each column.
fn exists(
    table: &str,
    columns: &[&(Column, Vec<Cell>)],
    parameters: &mut Row,
    snapshot: &dyn ViewSnapshot,
) -> String {
    let mut sql = format!(" AND EXISTS (SELECT 1 FROM {} x WHERE x.position = d.position", snapshot.table(table));
    for ((_, column), values) in columns {
        let values: Vec<String> = values.iter().map(|value| bind(value.clone(), parameters)).collect();
        sql += &format!(" AND x.{column} IN ({})", values.join(", "));
    }
    sql + ")"
}

fn bind(value: Cell, parameters: &mut Row) -> String {
    parameters.push(value);
    format!("${}", parameters.len())
}
