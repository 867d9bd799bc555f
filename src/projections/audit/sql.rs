//! The statements that find what is wanted. Each walks one index, as far as it is told and no further.

use std::ops::Range;

use super::filters::{AGGREGATE, Column, Filter, TARGET, Wanted};
use crate::store::{Cell, Dialect, Row, ViewSnapshot};

/// So far the events of a filter are counted: what has fewer is rare, and may drive whatever the order.
pub(super) const RARE: usize = 1_000 / SCALE;

/// In unit tests every bound of the work is smaller, so that a small log comes up against it; but for those that measure,
/// which are built with optimisation.
pub(super) const SCALE: usize = if cfg!(all(test, debug_assertions)) { 32 } else { 1 };

/// What passes whatever it is.
const CERTAIN: &str = "CAST(1 AS BIGINT)";

/// An event's place in the order of occurrence: when it happened, in microseconds, then its position.
pub(super) type Moment = (i64, u64);

/// What gives the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// The order itself, from end to end of the window.
    Order,
    /// One filter's index, value by value.
    Filter {
        /// Which of the filters.
        index: usize,
        /// Whether it lets so few events through that they may be sorted.
        rare: bool,
    },
    /// The index of occurrence, though the order is that of the log: only where few events are in the range.
    Occurrence,
}

/// Where candidates are taken from, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Only these positions.
    pub positions: Range<u64>,
    /// Set where the order is that of occurrence: only these moments.
    pub moments: Option<Range<Moment>>,
    pub newest_first: bool,
}

/// Statements on one snapshot of the audit log.
pub(super) struct Sql<'a> {
    wanted: &'a Wanted,
    window: &'a Window,
    snapshot: &'a dyn ViewSnapshot,
    parameters: Row,
}

impl<'a> Sql<'a> {
    pub(super) fn new(wanted: &'a Wanted, window: &'a Window, snapshot: &'a dyn ViewSnapshot) -> Self {
        Self { wanted, window, snapshot, parameters: Vec::new() }
    }

    /// Whether every candidate is wanted.
    pub(super) fn takes_all(mut self, driver: Driver) -> bool {
        self.passes(driver) == CERTAIN
    }

    /// The statement that counts, for each filter and then for the range of occurrence, the events in the window that it
    /// lets through, as far as that matters.
    pub(super) fn census(mut self) -> (String, Row) {
        let limit = self.limit(RARE);
        let mut counts = Vec::new();
        for filter in &self.wanted.filters {
            let (table, column) = indexed(filter.column);
            let table = self.snapshot.table(table);
            counts.push(match self.snapshot.dialect() {
                Dialect::Sqlite => {
                    let (values, within) = (self.any(filter), self.positions("x"));
                    format!("SELECT 1 FROM {table} x WHERE x.{column} {values} AND {within} LIMIT {limit}")
                }
                Dialect::Postgres => {
                    let mut arms = Vec::new();
                    for value in &filter.values {
                        let value = self.bind(*value);
                        arms.push(format!(
                            "(SELECT 1 FROM {table} d WHERE {})",
                            self.walked(column, &value, &limit)
                        ));
                    }
                    format!("SELECT 1 FROM ({}) AS arms LIMIT {limit}", arms.join(" UNION ALL "))
                }
            });
        }
        if let Some(occurred) = &self.wanted.occurred {
            let (from, until) = (self.bind(occurred.start), self.bind(occurred.end));
            let table = self.snapshot.table("entries");
            counts.push(format!(
                "SELECT 1 FROM {table} x WHERE x.occurred >= {from} AND x.occurred < {until} \
                 ORDER BY x.occurred LIMIT {limit}"
            ));
        }
        let counts: Vec<String> = counts
            .iter()
            .enumerate()
            .map(|(n, rows)| format!("(SELECT count(*) FROM ({rows}) AS count{n})"))
            .collect();
        (format!("SELECT {}", counts.join(", ")), self.parameters)
    }

    /// The statement for the first `limit` candidates in the window, in any order: position, time of occurrence where that is the
    /// order (else 0), and whether all filters let it through (1 or 0).
    pub(super) fn page(mut self, driver: Driver, limit: usize) -> (String, Row) {
        let candidates = self.candidates(driver, limit);
        let passes = self.passes(driver);
        let occurred = if self.window.moments.is_some() { "d.occurred" } else { "CAST(0 AS BIGINT)" };
        let sql = format!("SELECT d.position, {occurred}, {passes} FROM ({candidates}) AS d");
        (sql, self.parameters)
    }

    /// The statement that counts among the first `limit` candidates: whether they pass, actor, action and event type,
    /// how many, and the last position of them.
    pub(super) fn count(mut self, driver: Driver, limit: usize) -> (String, Row) {
        let candidates = self.candidates(driver, limit);
        let passes = self.passes(driver);
        let entries = self.snapshot.table("entries");
        let sql = format!(
            "SELECT m.passes, e.actor, e.action, e.event_type, count(*), max(m.position) \
             FROM (SELECT d.position, {passes} AS passes FROM ({candidates}) AS d) AS m \
             JOIN {entries} e ON e.position = m.position GROUP BY m.passes, e.actor, e.action, e.event_type"
        );
        (sql, self.parameters)
    }

    /// `SELECT position[, occurred] … LIMIT …`
    fn candidates(&mut self, driver: Driver, limit: usize) -> String {
        let entries = self.snapshot.table("entries");
        let limit = self.limit(limit);
        let order = self.order();
        let by_occurrence = self.window.moments.is_some();
        match driver {
            Driver::Filter { index, rare } if by_occurrence && rare => {
                let arms = self.arms(index, None).join(" UNION ");
                let within = self.moments();
                format!(
                    "SELECT d.position, d.occurred FROM ({arms}) AS p JOIN {entries} d ON d.position = p.position \
                     WHERE {within} ORDER BY {order} LIMIT {limit}"
                )
            }
            Driver::Filter { index, .. } if !by_occurrence => match self.arms(index, Some(&limit)).as_slice() {
                [only] => only.clone(),
                arms => {
                    let arms: Vec<String> = arms
                        .iter()
                        .enumerate()
                        .map(|(n, arm)| format!("SELECT position FROM ({arm}) AS arm{n}"))
                        .collect();
                    let direction = self.direction();
                    format!("{} ORDER BY position {direction} LIMIT {limit}", arms.join(" UNION "))
                }
            },
            Driver::Occurrence if !by_occurrence => {
                let (within, occurred) = (self.positions("d"), self.occurred("d").unwrap_or_default());
                format!(
                    "SELECT d.position FROM {entries} d WHERE {within}{occurred} ORDER BY {order} LIMIT {limit}"
                )
            }
            _ if by_occurrence => self.in_order_of_occurrence(&entries, &order, &limit),
            _ => {
                let within = self.positions("d");
                format!("SELECT d.position FROM {entries} d WHERE {within} ORDER BY {order} LIMIT {limit}")
            }
        }
    }

    /// Down the index of occurrence. Any number of events may have happened at one instant: those of the first one, from
    /// the middle of which a window may begin, are found by a search of their own.
    fn in_order_of_occurrence(&mut self, entries: &str, order: &str, limit: &str) -> String {
        let Some(Range { start, end }) = self.window.moments.clone() else { return String::new() };
        let (low, high) = (self.bind(start.0), self.bind(end.0));
        let mut arms = Vec::new();
        let mut lowest = ">=";
        if self.window.newest_first {
            let position = self.bind(end.1);
            arms.push(format!("d.occurred = {high} AND d.occurred >= {low} AND d.position < {position}"));
        } else {
            lowest = ">";
            let position = self.bind(start.1);
            arms.push(format!("d.occurred = {low} AND d.occurred < {high} AND d.position >= {position}"));
        }
        arms.push(format!("d.occurred {lowest} {low} AND d.occurred < {high}"));
        let arms = arms.iter().enumerate().map(|(n, within)| {
            format!(
                "SELECT position, occurred FROM (SELECT d.position, d.occurred FROM {entries} d WHERE {within} \
                 ORDER BY {order} LIMIT {limit}) AS arm{n}"
            )
        });
        let arms = arms.collect::<Vec<_>>().join(" UNION ALL ");
        format!("SELECT d.position, d.occurred FROM ({arms}) AS d ORDER BY {order} LIMIT {limit}")
    }

    /// For each value of a filter, its positions in the window: the first so many in order, or all.
    fn arms(&mut self, index: usize, limit: Option<&str>) -> Vec<String> {
        let Some(filter) = self.wanted.filters.get(index) else { return Vec::new() };
        let (table, column) = indexed(filter.column);
        let table = self.snapshot.table(table);
        let mut arms = Vec::new();
        for value in &filter.values {
            let value = self.bind(*value);
            let rest = match (limit, self.snapshot.dialect()) {
                (Some(limit), Dialect::Postgres) => self.walked(column, &value, limit),
                (Some(limit), Dialect::Sqlite) => {
                    let (within, direction) = (self.positions("d"), self.direction());
                    format!("d.{column} = {value} AND {within} ORDER BY d.position {direction} LIMIT {limit}")
                }
                (None, _) => format!("d.{column} = {value} AND {}", self.positions("d")),
            };
            arms.push(format!("SELECT d.position FROM {table} d WHERE {rest}"));
        }
        arms
    }

    /// A value's rows in the window, for Postgres: put so that only the index of the column and the position has their order.
    /// Of a value that is frequent it would else think that any walk meets it soon, and walk down the whole log for one that
    /// was frequent long ago.
    fn walked(&mut self, column: &str, value: &str, limit: &str) -> String {
        let Range { start, end } = self.window.positions;
        let (start, end, direction) = (self.bind(start), self.bind(end), self.direction());
        format!(
            "d.{column} IS NOT NULL AND (d.{column}, d.position) >= ({value}, {start}) \
             AND (d.{column}, d.position) < ({value}, {end}) \
             ORDER BY d.{column} {direction}, d.position {direction} LIMIT {limit}"
        )
    }

    /// 1 if a candidate `d` passes every filter but the one that drives, else 0.
    fn passes(&mut self, driver: Driver) -> String {
        let by_occurrence = self.window.moments.is_some();
        let drives = |n: usize| match driver {
            Driver::Filter { index, rare } => n == index && (rare || !by_occurrence),
            _ => false,
        };
        let mut conditions = Vec::new();
        for table in ["entries", "targets", "topics"] {
            // An aggregate drives by the index of targets, among which it is: what it is, is then looked up too.
            let looked_up =
                |n: usize, filter: &Filter| filter.column.0 == table && (!drives(n) || filter.column == AGGREGATE);
            let mut here = String::new();
            for (_, filter) in self.wanted.filters.iter().enumerate().filter(|(n, filter)| looked_up(*n, filter)) {
                here += &format!(" AND x.{} {}", filter.column.1, self.any(filter));
            }
            if table == "entries" && !by_occurrence && driver != Driver::Occurrence {
                here += &self.occurred("x").unwrap_or_default();
            }
            if !here.is_empty() {
                let table = self.snapshot.table(table);
                // Not `EXISTS`, of which Postgres may make a table of all that match, where it thinks that those are few.
                conditions.push(format!(
                    "(SELECT 1 FROM {table} x WHERE x.position = d.position{here} LIMIT 1) IS NOT NULL"
                ));
            }
        }
        // The order of occurrence does not bound positions by itself.
        if by_occurrence && !matches!(driver, Driver::Filter { rare: true, .. }) {
            conditions.push(self.positions("d"));
        }
        match conditions.as_slice() {
            [] => CERTAIN.to_owned(),
            conditions => format!("CAST(CASE WHEN {} THEN 1 ELSE 0 END AS BIGINT)", conditions.join(" AND ")),
        }
    }

    fn positions(&mut self, of: &str) -> String {
        let Range { start, end } = self.window.positions;
        let (start, end) = (self.bind(start), self.bind(end));
        format!("{of}.position >= {start} AND {of}.position < {end}")
    }

    fn moments(&mut self) -> String {
        let Some(Range { start, end }) = self.window.moments.clone() else { return "TRUE".to_owned() };
        let [a, b] = [self.bind(start.0), self.bind(start.1)];
        let [c, d] = [self.bind(end.0), self.bind(end.1)];
        format!("(d.occurred, d.position) >= ({a}, {b}) AND (d.occurred, d.position) < ({c}, {d})")
    }

    fn occurred(&mut self, of: &str) -> Option<String> {
        let Range { start, end } = self.wanted.occurred.clone()?;
        let (start, end) = (self.bind(start), self.bind(end));
        Some(format!(" AND {of}.occurred >= {start} AND {of}.occurred < {end}"))
    }

    fn direction(&self) -> &'static str {
        if self.window.newest_first { "DESC" } else { "ASC" }
    }

    fn order(&self) -> String {
        let direction = self.direction();
        match self.window.moments {
            Some(_) => format!("d.occurred {direction}, d.position {direction}"),
            None => format!("d.position {direction}"),
        }
    }

    fn any(&mut self, filter: &Filter) -> String {
        let values: Vec<String> = filter.values.iter().map(|value| self.bind(*value)).collect();
        format!("IN ({})", values.join(", "))
    }

    fn limit(&mut self, limit: usize) -> String {
        self.bind(i64::try_from(limit).unwrap_or(i64::MAX))
    }

    fn bind(&mut self, value: impl Into<Cell>) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }
}

/// Where a filter has its index: an aggregate is the first of its events' targets.
fn indexed(column: Column) -> Column {
    if column == AGGREGATE { TARGET } else { column }
}
