//! The SQL statements that find events. Each walks one index over a bounded number of rows.

use std::ops::Range;

use super::filter::{AGGREGATE, Column, ColumnFilter, ResolvedFilter, TARGET};
use crate::store::{Cell, Dialect, Row, ViewSnapshot};

/// The events of a filter are counted up to this number. A filter with fewer is rare, and may drive in any order.
pub(super) const RARE: usize = 1_000 / SCALE;

/// Makes every bound smaller in unit tests, so that a small log reaches it. Tests that measure are built with optimisation and
/// use the real bounds.
pub(super) const SCALE: usize = if cfg!(all(test, debug_assertions)) { 32 } else { 1 };

/// The condition that every candidate meets.
const ALWAYS: &str = "CAST(1 AS BIGINT)";

/// The sort key of the order of occurrence: the time in microseconds, then the position.
pub(super) type OccurrenceKey = (i64, u64);

/// The source of the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// All events of the window, in its order.
    Order,
    /// The index of one filter, value by value.
    Filter {
        /// The filter.
        index: usize,
        /// Whether it matches so few events that they may be sorted.
        rare: bool,
    },
    /// The index of occurrence in log order, for a range of occurrence that holds few events.
    Occurrence,
}

/// The part of the log to search, and the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The positions.
    pub positions: Range<u64>,
    /// The range of sort keys, if the order is that of occurrence.
    pub moments: Option<Range<OccurrenceKey>>,
    pub newest_first: bool,
}

/// Statements on one snapshot of the audit log.
pub(super) struct Sql<'a> {
    filter: &'a ResolvedFilter,
    window: &'a Window,
    snapshot: &'a dyn ViewSnapshot,
    parameters: Row,
}

impl<'a> Sql<'a> {
    pub(super) fn new(filter: &'a ResolvedFilter, window: &'a Window, snapshot: &'a dyn ViewSnapshot) -> Self {
        Self { filter, window, snapshot, parameters: Vec::new() }
    }

    /// Whether every candidate matches.
    pub(super) fn takes_all(mut self, driver: Driver) -> bool {
        self.passes(driver) == ALWAYS
    }

    /// The statement that counts the events of the window that each filter, and the range of occurrence, matches: up to
    /// [`RARE`].
    pub(super) fn count_by_filter(mut self) -> (String, Row) {
        let limit = self.limit(RARE);
        let mut counts = Vec::new();
        for index in 0..self.filter.columns.len() {
            let arms = (0..).zip(self.arms(index, Some(&limit)));
            let arms: Vec<String> = arms.map(|(n, arm)| format!("SELECT 1 FROM ({arm}) AS arm{n}")).collect();
            counts.push(format!("SELECT 1 FROM ({}) AS arms LIMIT {limit}", arms.join(" UNION ALL ")));
        }
        if let Some(occurred) = &self.filter.occurred {
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

    /// The statement for the first `limit` candidates of the window, in any order: position, time of occurrence (0 in log
    /// order), and whether all filters match (1 or 0).
    pub(super) fn page(mut self, driver: Driver, limit: usize) -> (String, Row) {
        let candidates = self.candidates(driver, limit);
        let passes = self.passes(driver);
        let occurred = if self.window.moments.is_some() { "d.occurred" } else { "CAST(0 AS BIGINT)" };
        let sql = format!("SELECT d.position, {occurred}, {passes} FROM ({candidates}) AS d");
        (sql, self.parameters)
    }

    /// The statement that groups the first `limit` candidates by whether they match, actor, action and event type: each group
    /// with its number of events and its last position.
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

    /// Candidates from the index of occurrence. Any number of events may have the same time, and a window may begin in the
    /// middle of them: the events of the first time are a search of their own.
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

    /// For each value of a filter, its positions in the window: the first `limit` in order, or all.
    fn arms(&mut self, index: usize, limit: Option<&str>) -> Vec<String> {
        let Some(filter) = self.filter.columns.get(index) else { return Vec::new() };
        let (table, column) = indexed(filter.column);
        let table = self.snapshot.table(table);
        let mut arms = Vec::new();
        for value in &filter.values {
            let value = self.bind(*value);
            let rest = match (limit, self.snapshot.dialect()) {
                (Some(limit), Dialect::Postgres) => self.index_range(column, &value, limit),
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

    /// A value's rows in the window, for Postgres: written so that only the index on column and position has this order.
    /// Otherwise the planner expects any walk to meet a frequent value soon, and walks the whole log for one that was frequent
    /// long ago.
    fn index_range(&mut self, column: &str, value: &str, limit: &str) -> String {
        let Range { start, end } = self.window.positions;
        let (start, end, direction) = (self.bind(start), self.bind(end), self.direction());
        format!(
            "d.{column} IS NOT NULL AND (d.{column}, d.position) >= ({value}, {start}) \
             AND (d.{column}, d.position) < ({value}, {end}) \
             ORDER BY d.{column} {direction}, d.position {direction} LIMIT {limit}"
        )
    }

    /// 1 if a candidate `d` matches every filter except the driver, else 0.
    fn passes(&mut self, driver: Driver) -> String {
        let by_occurrence = self.window.moments.is_some();
        let drives = |n: usize| match driver {
            Driver::Filter { index, rare } => n == index && (rare || !by_occurrence),
            _ => false,
        };
        let mut conditions = Vec::new();
        for table in ["entries", "targets", "topics"] {
            // A filter by aggregate drives by the index of targets, which hold the aggregate too: the column is then checked.
            let looked_up = |n: usize, filter: &ColumnFilter| {
                filter.column.0 == table && (!drives(n) || filter.column == AGGREGATE)
            };
            let mut here = String::new();
            for (_, filter) in self.filter.columns.iter().enumerate().filter(|(n, filter)| looked_up(*n, filter)) {
                here += &format!(" AND x.{} {}", filter.column.1, self.any(filter));
            }
            if table == "entries" && !by_occurrence && driver != Driver::Occurrence {
                here += &self.occurred("x").unwrap_or_default();
            }
            if !here.is_empty() {
                let table = self.snapshot.table(table);
                // Not `EXISTS`: Postgres may turn it into a hash of all matching rows, if it expects few.
                conditions.push(format!(
                    "(SELECT 1 FROM {table} x WHERE x.position = d.position{here} LIMIT 1) IS NOT NULL"
                ));
            }
        }
        // The order of occurrence does not bound positions.
        if by_occurrence && !matches!(driver, Driver::Filter { rare: true, .. }) {
            conditions.push(self.positions("d"));
        }
        match conditions.as_slice() {
            [] => ALWAYS.to_owned(),
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
        let Range { start, end } = self.filter.occurred.clone()?;
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

    fn any(&mut self, filter: &ColumnFilter) -> String {
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

/// The indexed column of a filter. A filter by aggregate uses the index of targets: the aggregate is the first target of its
/// events.
fn indexed(column: Column) -> Column {
    if column == AGGREGATE { TARGET } else { column }
}
