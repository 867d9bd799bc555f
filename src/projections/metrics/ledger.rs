//! [`Ledger`]: the numbers of one topic, read from a snapshot of the metrics.

use std::ops::Range;

use super::blocks::{self, Pieces};
use super::completing::{Crowd, add, count};
use super::entry::{COLUMNS, Entry};
use super::running::Running;
use crate::projections::ReadError;
use crate::projections::metrics::Metrics;
use crate::store::{Cell, Row, ViewSnapshot};

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
            Self::Actors => count(crowd, &entry.actor),
            Self::Targets => entry.targets.iter().for_each(|target| count(crowd, target)),
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
            for (n, entry) in self.entries(&edges).await? {
                if let Some(running) = running.get_mut(n).filter(|_| entry.is_of(self.topic)) {
                    running.take_in(&entry);
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
            for (n, crowd) in self.whole_blocks(&whole, who).await? {
                if let Some(found) = found.get_mut(n) {
                    add(found, crowd);
                }
            }
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
    ) -> Result<Vec<(usize, Crowd)>, ReadError> {
        if blocks.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters: Row = vec![self.topic.into()];
        let values = values(
            &mut parameters,
            blocks.iter().map(|(n, level, blocks)| vec![*n as u64, u64::from(*level), blocks.start, blocks.end]),
        );
        let sql = format!(
            "SELECT w.column1, c.{} FROM (VALUES {values}) AS w CROSS JOIN {} c WHERE c.topic = $1 \
             AND c.level = w.column2 AND c.block >= w.column3 AND c.block < w.column4",
            who.column(),
            self.snapshot.table("crowds")
        );
        let rows = self.snapshot.query(&sql, parameters).await?;
        let crowds = rows.iter().filter_map(|row| Some((number(row.first())?, row.get(1)?.text()?)));
        crowds.map(|(n, text)| Ok((n, parse(text)?))).collect()
    }

    /// The entries in each of these ranges, in order.
    async fn entries(&mut self, ranges: &[(usize, Range<u64>)]) -> Result<Vec<(usize, Entry)>, ReadError> {
        let ranges = ranges.iter().filter(|(_, range)| !range.is_empty());
        let ranges: Vec<Vec<u64>> = ranges.map(|(n, range)| vec![*n as u64, range.start, range.end]).collect();
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters = Row::new();
        let sql = format!(
            "SELECT w.column1, {COLUMNS} FROM (VALUES {}) AS w CROSS JOIN {} e WHERE e.position >= w.column2 \
             AND e.position < w.column3 ORDER BY w.column1, e.position",
            values(&mut parameters, ranges.into_iter()),
            self.snapshot.table("entries")
        );
        let rows = self.snapshot.query(&sql, parameters).await?;
        Ok(rows.iter().filter_map(|row| Some((number(row.first())?, Entry::read(row.get(1..)?)?))).collect())
    }
}

/// For each bound, its number and the numbers of the last block with events of the topic that is complete before it.
pub(super) fn last_blocks(topic: &str, bounds: &[u64], snapshot: &dyn ViewSnapshot) -> (String, Row) {
    let mut parameters: Row = vec![topic.into()];
    let bounds = bounds.iter().enumerate().map(|(n, bound)| vec![n as u64, blocks::complete_before(0, *bound)]);
    let sql = format!(
        "SELECT w.column1, (SELECT r.numbers FROM {} r WHERE r.topic = $1 AND r.block < w.column2 \
         ORDER BY r.block DESC LIMIT 1) FROM (VALUES {}) AS w",
        snapshot.table("running"),
        values(&mut parameters, bounds),
    );
    (sql, parameters)
}

/// Rows of whole numbers for VALUES.
fn values(parameters: &mut Row, rows: impl Iterator<Item = Vec<u64>>) -> String {
    let rows = rows.map(|row| {
        let cells = row.into_iter().map(|cell| {
            parameters.push(cell.into());
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
    serde_json::from_str(text).map_err(|source| ReadError::Document {
        name: Metrics::NAME.to_owned(),
        key: "a block".to_owned(),
        source,
    })
}
