//! [`Ledger`]: the numbers of one topic, read from a snapshot of the metrics.

use std::ops::Range;

use jiff::Timestamp;

use super::blocks::{self, Pieces};
use super::crowd::{Crowd, count, count_all};
use super::entry::{self, COLUMNS, Entry};
use super::running::Running;
use crate::projections::ReadError;
use crate::projections::metrics::Metrics;
use crate::store::{Cell, Dialect, Row, Store, ViewSnapshot};

/// How many ranges one statement reads.
const AT_ONCE: usize = 64;

/// One topic's numbers.
pub(super) struct Ledger<'a> {
    pub topic: &'a str,
    pub snapshot: &'a mut dyn ViewSnapshot,
}

/// Which crowd is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Actors,
    Targets,
}

impl Who {
    fn column(self) -> &'static str {
        match self {
            Self::Actors => "actors",
            Self::Targets => "targets",
        }
    }

    fn of(self, entry: &Entry, crowd: &mut Crowd) {
        match self {
            Self::Actors => count(crowd, &entry.actor, 1),
            Self::Targets => entry.targets.iter().for_each(|target| count(crowd, target, 1)),
        }
    }
}

impl Ledger<'_> {
    /// The running numbers before each of these positions: one search and at most 255 entries each.
    pub async fn before(&mut self, bounds: &[u64]) -> Result<Vec<Running>, ReadError> {
        let mut numbers = Vec::with_capacity(bounds.len());
        for some in bounds.chunks(AT_ONCE) {
            let mut running = vec![Running::default(); some.len()];
            let (sql, parameters) = last_blocks(self.topic, some, self.snapshot);
            for row in self.snapshot.query(&sql, parameters).await? {
                let (Some(slot), Some(text)) =
                    (number(row.first()).and_then(|n| running.get_mut(n)), row.get(1).and_then(Cell::text))
                else {
                    continue;
                };
                *slot = parse(text)?;
            }
            let edges: Vec<(usize, Range<u64>)> = some
                .iter()
                .map(|bound| blocks::positions(0, blocks::complete_before(0, *bound)).start..*bound)
                .enumerate()
                .collect();
            for row in self.columns(&edges, "position, recorded_at, event_type, topics").await? {
                let [n, position, at, Cell::Text(event_type), Cell::Text(topics)] = row.as_slice() else {
                    continue;
                };
                let (Some(running), Some(position), Some(at)) =
                    (number(Some(n)).and_then(|n| running.get_mut(n)), number(Some(position)), at.integer())
                else {
                    continue;
                };
                if entry::are_of(topics, self.topic) {
                    running.take_in(position as u64, at, event_type);
                }
            }
            numbers.extend(running);
        }
        Ok(numbers)
    }

    /// How often each actor, or each target, occurs in each of these ranges.
    pub async fn crowds(&mut self, ranges: &[Range<u64>], who: Who) -> Result<Vec<Crowd>, ReadError> {
        let mut crowds = Vec::with_capacity(ranges.len());
        for some in ranges.chunks(AT_ONCE) {
            let mut found = vec![Crowd::new(); some.len()];
            let (mut edges, mut whole) = (Vec::new(), Vec::new());
            for (n, range) in some.iter().enumerate() {
                let pieces = Pieces::of(range);
                edges.extend(pieces.edges.into_iter().map(|edge| (n, edge)));
                whole.extend(pieces.blocks.into_iter().map(|(level, blocks)| (n, level, blocks)));
            }
            self.whole_blocks(&whole, who, &mut found).await?;
            for (n, entry) in self.entries(&edges).await? {
                if let Some(crowd) = found.get_mut(n).filter(|_| entry.is_of(self.topic)) {
                    who.of(&entry, crowd);
                }
            }
            crowds.extend(found);
        }
        Ok(crowds)
    }

    async fn whole_blocks(
        &mut self,
        blocks: &[(usize, u32, Range<u64>)],
        who: Who,
        found: &mut [Crowd],
    ) -> Result<(), ReadError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let mut parameters: Row = vec![self.topic.into()];
        let values = values(
            &mut parameters,
            blocks.iter().map(|(n, level, blocks)| {
                [*n as u64, u64::from(*level), blocks.start, blocks.end].map(Cell::from).to_vec()
            }),
        );
        let sql = format!(
            "SELECT w.column1, c.{} FROM (VALUES {values}) AS w CROSS JOIN {} c WHERE c.topic = $1 \
             AND c.level = w.column2 AND c.block >= w.column3 AND c.block < w.column4",
            who.column(),
            self.snapshot.table("crowds")
        );
        for row in self.snapshot.query(&sql, parameters).await? {
            let crowd = number(row.first()).and_then(|n| found.get_mut(n));
            if let (Some(crowd), Some(text)) = (crowd, row.get(1).and_then(Cell::text)) {
                count_all(crowd, text).map_err(unreadable)?;
            }
        }
        Ok(())
    }

    /// The entries in each of these ranges, in order.
    async fn entries(&mut self, ranges: &[(usize, Range<u64>)]) -> Result<Vec<(usize, Entry)>, ReadError> {
        let rows = self.columns(ranges, COLUMNS).await?;
        Ok(rows.iter().filter_map(|row| Some((number(row.first())?, Entry::read(row.get(1..)?)?))).collect())
    }

    /// These columns of them, behind the number of the range.
    async fn columns(&mut self, ranges: &[(usize, Range<u64>)], columns: &str) -> Result<Vec<Row>, ReadError> {
        let ranges = ranges.iter().filter(|(_, range)| !range.is_empty());
        let ranges: Vec<Row> =
            ranges.map(|(n, range)| [*n as u64, range.start, range.end].map(Cell::from).to_vec()).collect();
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = Row::new();
        let sql = format!(
            "SELECT w.column1, {columns} FROM (VALUES {}) AS w CROSS JOIN {} e WHERE e.position >= w.column2 \
             AND e.position < w.column3 ORDER BY w.column1, e.position",
            values(&mut parameters, ranges.into_iter()),
            self.snapshot.table("entries")
        );
        Ok(self.snapshot.query(&sql, parameters).await?)
    }

    /// For each of these times the position of the first event that was recorded then or later, as of the snapshot: all are
    /// bisected by one statement, since the log is in the order of its times.
    pub async fn places(&mut self, times: &[Timestamp], log: &dyn Store) -> Result<Vec<u64>, ReadError> {
        let after_head = self.snapshot.head().position.saturating_add(1);
        let mut places = Vec::with_capacity(times.len());
        for some in times.chunks(AT_ONCE) {
            let (sql, parameters) = bisect(some, after_head, self.snapshot);
            let mut found = vec![None; some.len()];
            for row in self.snapshot.query(&sql, parameters).await? {
                if let Some(place) = number(row.first()).and_then(|n| found.get_mut(n)) {
                    *place = number(row.get(1)).map(|position| position as u64);
                }
            }
            for (time, place) in some.iter().zip(found) {
                // Where an event was left out of the metrics, the log itself is asked.
                places.push(match place {
                    Some(place) => place,
                    None => log.position_at(*time).await?.min(after_head),
                });
            }
        }
        Ok(places)
    }
}

/// For each of these times, its number and the position of the first entry that is not before it.
pub(super) fn bisect(times: &[Timestamp], after_head: u64, snapshot: &dyn ViewSnapshot) -> (String, Row) {
    // The first whole microsecond that is not before it.
    let micros = |time: &Timestamp| i64::try_from(-(-time.as_nanosecond()).div_euclid(1_000)).unwrap_or(i64::MAX);
    let mut parameters: Row = Vec::new();
    let rows = times
        .iter()
        .enumerate()
        .map(|(n, time)| vec![Cell::from(n as u64), micros(time).into(), after_head.into()]);
    let entries = snapshot.table("entries");
    // On Postgres so that each is looked up, whatever it thinks of how many there are.
    let middle = match snapshot.dialect() {
        Dialect::Sqlite => format!("JOIN {entries} e ON e.position = (b.low + b.high) / 2"),
        Dialect::Postgres => format!(
            "CROSS JOIN LATERAL (SELECT x.recorded_at FROM {entries} x WHERE x.position = (b.low + b.high) / 2 \
             LIMIT 1) e"
        ),
    };
    let sql = format!(
        "WITH RECURSIVE bisect (n, wanted, low, high) AS (\
         SELECT w.column1, w.column2, CAST(1 AS BIGINT), w.column3 FROM (VALUES {}) AS w \
         UNION ALL SELECT b.n, b.wanted, \
         CASE WHEN e.recorded_at < b.wanted THEN (b.low + b.high) / 2 + 1 ELSE b.low END, \
         CASE WHEN e.recorded_at < b.wanted THEN b.high ELSE (b.low + b.high) / 2 END \
         FROM bisect b {middle} WHERE b.low < b.high) \
         SELECT n, low FROM bisect WHERE low >= high",
        values(&mut parameters, rows),
    );
    (sql, parameters)
}

/// For each bound, its number and the numbers of the last block with events of the topic that is complete before it.
pub(super) fn last_blocks(topic: &str, bounds: &[u64], snapshot: &dyn ViewSnapshot) -> (String, Row) {
    let mut parameters: Row = vec![topic.into()];
    let bounds = bounds
        .iter()
        .enumerate()
        .map(|(n, bound)| vec![(n as u64).into(), blocks::complete_before(0, *bound).into()]);
    let sql = format!(
        "SELECT w.column1, (SELECT r.numbers FROM {} r WHERE r.topic = $1 AND r.block < w.column2 \
         ORDER BY r.block DESC LIMIT 1) FROM (VALUES {}) AS w",
        snapshot.table("running"),
        values(&mut parameters, bounds),
    );
    (sql, parameters)
}

/// Rows of whole numbers for VALUES.
fn values(parameters: &mut Row, rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let rows = rows.map(|row| {
        let cells = row.into_iter().map(|cell| {
            parameters.push(cell);
            format!("CAST(${} AS BIGINT)", parameters.len())
        });
        format!("({})", cells.collect::<Vec<_>>().join(", "))
    });
    rows.collect::<Vec<_>>().join(", ")
}

fn number(cell: Option<&Cell>) -> Option<usize> {
    cell.and_then(Cell::integer).and_then(|number| usize::try_from(number).ok())
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(unreadable)
}

pub(super) fn unreadable(source: serde_json::Error) -> ReadError {
    ReadError::Document { name: Metrics::NAME.to_owned(), key: "a block".to_owned(), source }
}
