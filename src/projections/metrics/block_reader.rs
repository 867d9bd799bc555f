//! [`BlockReader`]: reads the prefix sums and frequencies of one topic from a snapshot of the metrics.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use jiff::Timestamp;
use serde::de::Error as _;

use super::axis::Measured;
use super::blocks::{self, Pieces};
use super::entry::{self, Columns, Entry, ROOT};
use super::frequency_table::{FrequencyTable, Share};
use super::prefix_sums::PrefixSums;
use crate::projections::ReadError;
use crate::projections::metrics::Metrics;
use crate::store::{Cell, Row, ViewSnapshot};

/// How many ranges or blocks one statement reads.
const AT_ONCE: usize = 64;

/// Reads the numbers of one topic.
pub(super) struct BlockReader<'a> {
    /// The topic's number; `None` if it has no event.
    topic: Option<u32>,
    snapshot: &'a mut dyn ViewSnapshot,
    /// The entries of the incomplete block, once they are read.
    loose: Option<Vec<Entry>>,
}

/// Whose frequencies are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Participants {
    Actors,
    Targets,
}

impl Participants {
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Actors => "actors",
            Self::Targets => "targets",
        }
    }

    /// The columns of an entry that are needed for this topic.
    pub(super) fn columns(self, topic: u32) -> Columns {
        let (actors, targets) = (self == Self::Actors, self == Self::Targets);
        Columns { actors, targets, topics: topic != ROOT, ..Columns::default() }
    }

    /// The participants of an event.
    pub(super) fn of(self, entry: &Entry) -> &[u32] {
        match self {
            Self::Actors => std::slice::from_ref(&entry.actor),
            Self::Targets => &entry.targets,
        }
    }

    fn count(self, entry: &Entry, frequencies: &mut FrequencyTable) {
        self.of(entry).iter().for_each(|who| frequencies.count(*who, 1));
    }
}

impl<'a> BlockReader<'a> {
    /// A reader for the topic with this number.
    pub fn new(topic: Option<u32>, snapshot: &'a mut dyn ViewSnapshot) -> Self {
        Self { topic, snapshot, loose: None }
    }

    pub fn snapshot(&mut self) -> &mut dyn ViewSnapshot {
        self.snapshot
    }

    /// The counts between consecutive positions, and the sums over all of them as of `until`.
    pub async fn measure(&mut self, positions: &[u64], until: Timestamp) -> Result<Measured, ReadError> {
        let sums = self.before(positions).await?;
        let totals = sums.windows(2).map(|pair| pair[1].total().saturating_sub(pair[0].total())).collect();
        let (Some(start), Some(end)) = (sums.first(), sums.last()) else { return Ok(Measured::default()) };
        Ok(Measured { totals, types: end.since(start), rolling: end.rolling(start, until), first: end.first() })
    }

    /// The prefix sums before each of these positions: one search and one block of entries each.
    pub async fn before(&mut self, bounds: &[u64]) -> Result<Vec<PrefixSums>, ReadError> {
        let mut numbers = vec![PrefixSums::default(); bounds.len()];
        let Some(topic) = self.topic else { return Ok(numbers) };
        let mut order: Vec<usize> = (0..bounds.len()).collect();
        order.sort_unstable_by_key(|n| bounds[*n]);
        for some in order.chunks(AT_ONCE) {
            let begun: BTreeSet<u64> = some.iter().map(|n| blocks::containing(bounds[*n])).collect();
            let mut running = self.last_blocks(topic, &begun).await?;
            // A bound at the start of its block needs no entries.
            let within = |n: &&usize| bounds[**n] > blocks::positions(0, blocks::containing(bounds[**n])).start;
            let wanted: BTreeSet<u64> =
                some.iter().filter(within).map(|n| blocks::containing(bounds[*n])).collect();
            let packed = self.packed(&wanted).await?;
            for same in
                some.chunk_by(|one, other| blocks::containing(bounds[*one]) == blocks::containing(bounds[*other]))
            {
                let block = same.first().map_or(0, |n| blocks::containing(bounds[*n]));
                let mut running = running.remove(&block).unwrap_or_default();
                let mut reached = same.iter().peekable();
                let wanted = Columns { types: true, topics: topic != ROOT, ..Columns::default() };
                self.walk(packed.get(&block).map(Vec::as_slice), block, wanted, |entry| {
                    while let Some(n) = reached.next_if(|n| bounds[**n] <= entry.position) {
                        numbers[*n] = running.clone();
                    }
                    if entry.is_of(topic) {
                        running.take_in(entry);
                    }
                    reached.peek().is_some()
                })?;
                reached.for_each(|n| numbers[*n] = running.clone());
            }
        }
        Ok(numbers)
    }

    /// How often each actor, or each target, occurs in each of these ranges.
    pub async fn frequencies(
        &mut self,
        ranges: &[Range<u64>],
        who: Participants,
    ) -> Result<Vec<Vec<Share>>, ReadError> {
        let mut frequencies = Vec::with_capacity(ranges.len());
        let Some(topic) = self.topic else { return Ok(vec![Vec::new(); ranges.len()]) };
        let mut table = FrequencyTable::default();
        for some in ranges.chunks(AT_ONCE) {
            let pieces: Vec<Pieces> = some.iter().map(Pieces::from_range).collect();
            let mut whole = self.whole_blocks(topic, &pieces, who).await?;
            let edges = pieces.iter().flat_map(|pieces| &pieces.edges);
            let packed = self
                .packed(
                    &edges
                        .flat_map(|edge| blocks::containing(edge.start)..=blocks::containing(edge.end - 1))
                        .collect(),
                )
                .await?;
            for (pieces, whole) in pieces.iter().zip(&mut whole) {
                for bytes in whole.drain(..) {
                    table.count_all(&bytes).ok_or_else(unreadable)?;
                }
                for edge in &pieces.edges {
                    for block in blocks::containing(edge.start)..=blocks::containing(edge.end - 1) {
                        let wanted = who.columns(topic);
                        self.walk(packed.get(&block).map(Vec::as_slice), block, wanted, |entry| {
                            if edge.contains(&entry.position) && entry.is_of(topic) {
                                who.count(entry, &mut table);
                            }
                            entry.position < edge.end
                        })?;
                    }
                }
                frequencies.push(table.take());
            }
        }
        Ok(frequencies)
    }

    /// For each of these times the position of the first event recorded then or later, as of the snapshot.
    pub async fn places(&mut self, times: &[Timestamp]) -> Result<Vec<u64>, ReadError> {
        // Rounded up to a whole microsecond.
        let micros =
            |time: &Timestamp| i64::try_from(-(-time.as_nanosecond()).div_euclid(1_000)).unwrap_or(i64::MAX);
        let after_head = self.snapshot.head().position.saturating_add(1);
        let mut places = Vec::with_capacity(times.len());
        for some in times.chunks(AT_ONCE) {
            let rows = some.iter().enumerate().map(|(n, time)| vec![(n as u64).into(), micros(time).into()]);
            let mut parameters = Row::new();
            let sql = format!(
                "SELECT w.column1, (SELECT b.block FROM {} b WHERE b.last_at >= w.column2 \
                 ORDER BY b.last_at, b.block LIMIT 1) FROM (VALUES {}) AS w",
                self.snapshot.table("blocks"),
                values(&mut parameters, rows),
            );
            let mut found = vec![None; some.len()];
            for row in self.snapshot.query(&sql, parameters).await? {
                if let Some(place) = number(row.first()).and_then(|n| found.get_mut(n as usize)) {
                    *place = number(row.get(1));
                }
            }
            let packed = self.packed(&found.iter().map(|block| block.unwrap_or(u64::MAX)).collect()).await?;
            for (time, block) in some.iter().zip(found) {
                let (time, mut place) = (micros(time), after_head);
                let packed = block.and_then(|block| packed.get(&block)).map(Vec::as_slice);
                self.walk(packed, block.unwrap_or(u64::MAX), Columns::default(), |entry| {
                    let before = entry.at < time;
                    if !before {
                        place = entry.position;
                    }
                    before
                })?;
                places.push(place);
            }
        }
        Ok(places)
    }

    /// The prefix sums at the start of each of these blocks.
    async fn last_blocks(
        &mut self,
        topic: u32,
        begun: &BTreeSet<u64>,
    ) -> Result<HashMap<u64, PrefixSums>, ReadError> {
        let (sql, parameters) = last_blocks(topic, begun, self.snapshot);
        let mut running = HashMap::with_capacity(begun.len());
        for row in self.snapshot.query(&sql, parameters).await? {
            if let (Some(block), Some(Cell::Bytes(bytes))) = (number(row.first()), row.get(1)) {
                running.insert(block, PrefixSums::decode(bytes).ok_or_else(unreadable)?);
            }
        }
        Ok(running)
    }

    /// The entries of these blocks, if complete, and of the incomplete block if one of them is it.
    async fn packed(&mut self, wanted: &BTreeSet<u64>) -> Result<BTreeMap<u64, Vec<u8>>, ReadError> {
        let mut packed = BTreeMap::new();
        for some in wanted.iter().collect::<Vec<_>>().chunks(AT_ONCE) {
            let mut parameters = Row::new();
            let sql = format!(
                "SELECT b.block, b.entries FROM (VALUES {}) AS w CROSS JOIN {} b WHERE b.block = w.column1",
                values(&mut parameters, some.iter().map(|block| vec![Cell::from(**block)])),
                self.snapshot.table("blocks")
            );
            for row in self.snapshot.query(&sql, parameters).await? {
                if let Ok([block, Cell::Bytes(bytes)]) = <[Cell; 2]>::try_from(row) {
                    packed.extend(number(Some(&block)).map(|block| (block, bytes)));
                }
            }
        }
        if packed.len() < wanted.len() && self.loose.is_none() {
            let sql = format!("SELECT entry FROM {} ORDER BY position", self.snapshot.table("entries"));
            let mut loose = Vec::new();
            for row in self.snapshot.query(&sql, Vec::new()).await? {
                let Some(Cell::Bytes(bytes)) = row.first() else { return Err(unreadable()) };
                let mut keep = |entry: &Entry| {
                    loose.push(entry.clone());
                    true
                };
                entry::decode(bytes, Columns::ALL, &mut keep).ok_or_else(unreadable)?;
            }
            self.loose = Some(loose);
        }
        Ok(packed)
    }

    /// Passes the entries of a block in order, with the wanted columns, to `each` until it returns false.
    fn walk(
        &self,
        packed: Option<&[u8]>,
        block: u64,
        wanted: Columns,
        mut each: impl FnMut(&Entry) -> bool,
    ) -> Result<(), ReadError> {
        match packed {
            Some(packed) => entry::decode(packed, wanted, each).ok_or_else(unreadable)?,
            None => {
                let loose = self.loose.iter().flatten();
                let _ = loose
                    .filter(|entry| block == u64::MAX || blocks::containing(entry.position) == block)
                    .all(&mut each);
            }
        }
        Ok(())
    }

    /// The frequencies of the whole blocks of each range.
    async fn whole_blocks(
        &mut self,
        topic: u32,
        pieces: &[Pieces],
        who: Participants,
    ) -> Result<Vec<Vec<Vec<u8>>>, ReadError> {
        let mut found = vec![Vec::new(); pieces.len()];
        let spans = pieces.iter().enumerate().flat_map(|(n, pieces)| {
            let span = move |(level, blocks): &(u32, Range<u64>)| {
                [n as u64, u64::from(*level), blocks.start, blocks.end].map(Cell::from).to_vec()
            };
            pieces.blocks.iter().map(span)
        });
        let mut parameters: Row = vec![u64::from(topic).into()];
        let values = values(&mut parameters, spans);
        if values.is_empty() {
            return Ok(found);
        }
        let sql = format!(
            "SELECT w.column1, c.{} FROM (VALUES {values}) AS w CROSS JOIN {} c WHERE c.topic = $1 \
             AND c.level = w.column2 AND c.block >= w.column3 AND c.block < w.column4",
            who.column(),
            self.snapshot.table("crowds")
        );
        for row in self.snapshot.query(&sql, parameters).await? {
            if let Ok([n, Cell::Bytes(bytes)]) = <[Cell; 2]>::try_from(row)
                && let Some(found) = number(Some(&n)).and_then(|n| found.get_mut(n as usize))
            {
                found.push(bytes);
            }
        }
        Ok(found)
    }
}

/// For each of these blocks, its number and the prefix sums at the end of the last block before it.
pub(super) fn last_blocks(topic: u32, begun: &BTreeSet<u64>, snapshot: &dyn ViewSnapshot) -> (String, Row) {
    let mut parameters: Row = vec![u64::from(topic).into()];
    let sql = format!(
        "SELECT w.column1, (SELECT r.numbers FROM {} r WHERE r.topic = $1 AND r.block < w.column1 \
         ORDER BY r.block DESC LIMIT 1) FROM (VALUES {}) AS w",
        snapshot.table("running"),
        values(&mut parameters, begun.iter().map(|block| vec![Cell::from(*block)])),
    );
    (sql, parameters)
}

/// Rows of whole numbers for VALUES.
pub(super) fn values(parameters: &mut Row, rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let rows = rows.map(|row| {
        let cells = row.into_iter().map(|cell| {
            parameters.push(cell);
            format!("CAST(${} AS BIGINT)", parameters.len())
        });
        format!("({})", cells.collect::<Vec<_>>().join(", "))
    });
    rows.collect::<Vec<_>>().join(", ")
}

pub(super) fn number(cell: Option<&Cell>) -> Option<u64> {
    cell.and_then(Cell::integer).and_then(|number| u64::try_from(number).ok())
}

pub(super) fn unreadable() -> ReadError {
    let source = serde_json::Error::custom("unexpected format");
    ReadError::Document { name: Metrics::NAME.to_owned(), key: "a block".to_owned(), source }
}
