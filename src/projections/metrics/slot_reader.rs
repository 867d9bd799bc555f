//! [`SlotReader`]: reads the sums and frequencies of one topic by when its events occurred.

use std::collections::HashMap;
use std::ops::Range;

use jiff::Timestamp;

use super::axis::Measured;
use super::block_reader::{Participants, number, unreadable, values};
use super::entry::{self, Columns, Entry, ROOT};
use super::frequency_table::{self, Share};
use super::prefix_sums::WINDOWS;
use super::slots::{ALL, OF_PARTICIPANTS, ONE, Pieces, SlotSums, WIDTHS, end, weight};
use crate::projections::ReadError;
use crate::store::{Cell, Row, ViewSnapshot, time_of_micros};

/// The most ranges of slots, and the most slots in them, that one statement reads.
const AT_ONCE: usize = 128;
const SLOTS_AT_ONCE: i64 = 1_024;

/// How many moments one statement reads.
const MOMENTS_AT_ONCE: u64 = 4_096;

/// Reads the numbers of one topic. Its points are times in microseconds, counted from the lowest `i64`.
pub(super) struct SlotReader<'a> {
    /// The topic's number; `None` if it has no event.
    pub topic: Option<u32>,
    pub snapshot: &'a mut dyn ViewSnapshot,
}

/// The point of a time, rounded up to a whole microsecond.
pub(super) fn point(time: Timestamp) -> u64 {
    let micros = i64::try_from(-(-time.as_nanosecond()).div_euclid(1_000)).unwrap_or(i64::MAX);
    micros.cast_unsigned() ^ (1 << 63)
}

/// The time of a point.
pub(super) fn time(point: u64) -> Timestamp {
    let outermost = if micros(point) > 0 { Timestamp::MAX } else { Timestamp::MIN };
    time_of_micros(micros(point)).unwrap_or(outermost)
}

fn micros(point: u64) -> i64 {
    (point ^ (1 << 63)).cast_signed()
}

fn span(range: &Range<u64>) -> Range<i64> {
    micros(range.start)..micros(range.end)
}

/// A range of slots of one level, in the range of this number.
type SlotSpan = (usize, usize, Range<i64>);

impl SlotReader<'_> {
    /// The counts between consecutive edges, and the sums over all of them as of `until`.
    pub async fn measure(&mut self, edges: &[u64], until: Timestamp) -> Result<Measured, ReadError> {
        let mut measured = Measured { totals: vec![0; edges.len().saturating_sub(1)], ..Measured::default() };
        let Some(topic) = self.topic else { return Ok(measured) };
        let now = until.as_microsecond();
        let pieces = |pair: &[u64]| Pieces::from_range(&span(&(pair[0]..pair[1])), ALL);
        let ranges: Vec<Pieces> = edges.windows(2).map(pieces).collect();
        for part in self.parts(topic, &ranges).await? {
            let mut rows = self.slots(topic, &part, "sums").await?;
            // In a fixed order: the last digit of a sum of fractions depends on it.
            rows.sort_unstable_by_key(|row| [0, 1, 2].map(|n| row.get(n).and_then(Cell::integer)));
            for row in rows {
                let Ok([n, Cell::Integer(level), Cell::Integer(slot), Cell::Bytes(bytes)]) =
                    <[Cell; 4]>::try_from(row)
                else {
                    return Err(unreadable());
                };
                let sums = SlotSums::decode(&bytes).ok_or_else(unreadable)?;
                let level = usize::try_from(level).ok().filter(|level| *level < WIDTHS.len());
                let age = now.saturating_sub(end(level.ok_or_else(unreadable)?, slot));
                for (n, window) in WINDOWS.into_iter().enumerate() {
                    measured.rolling[n] += sums.decayed[n] as f64 / ONE * weight(age, window);
                }
                let total = number(Some(&n)).and_then(|n| measured.totals.get_mut(n as usize));
                *total.ok_or_else(unreadable)? += sums.types.values().sum::<u64>();
                for (event_type, count) in sums.types {
                    *measured.types.entry(event_type).or_default() += count;
                }
            }
        }
        let wanted = Columns { types: true, topics: topic != ROOT, ..Columns::default() };
        for (n, pieces) in ranges.iter().enumerate() {
            for edge in &pieces.edges {
                self.moments(edge, wanted, |entry| {
                    if entry.is_of(topic) {
                        measured.totals[n] += 1;
                        *measured.types.entry(entry.event_type).or_default() += 1;
                        for (n, window) in WINDOWS.into_iter().enumerate() {
                            measured.rolling[n] += weight(now.saturating_sub(entry.at), window);
                        }
                    }
                    true
                })
                .await?;
            }
        }
        Ok(measured)
    }

    /// The time of the topic's first event before `end`, as a point.
    pub async fn first(&mut self, end: u64) -> Result<Option<u64>, ReadError> {
        let Some(topic) = self.topic else { return Ok(None) };
        let mut within = i64::MIN..i64::MAX;
        for (level, width) in WIDTHS.into_iter().enumerate().rev() {
            let slots = within.start.div_euclid(width)..(within.end - 1).div_euclid(width) + 1;
            let Some(slot) = self.first_slot(topic, level, &slots).await? else { return Ok(None) };
            within = slot.saturating_mul(width)..super::slots::end(level, slot);
        }
        let mut first = None;
        let wanted = Columns { topics: topic != ROOT, ..Columns::default() };
        self.moments(&within, wanted, |entry| {
            first = Some(entry.at).filter(|_| entry.is_of(topic));
            first.is_none()
        })
        .await?;
        Ok(first.map(|at: i64| at.cast_unsigned() ^ (1 << 63)).filter(|first| *first < end))
    }

    /// The slots of these ranges, a part for each statement. Long stretches without an event are passed over.
    async fn parts(&mut self, topic: u32, ranges: &[Pieces]) -> Result<Vec<Vec<SlotSpan>>, ReadError> {
        let (mut parts, mut part, mut slots) = (Vec::new(), Vec::new(), 0);
        for (n, pieces) in ranges.iter().enumerate() {
            for (level, span) in &pieces.slots {
                let mut rest = span.clone();
                while !rest.is_empty() {
                    if rest.end - rest.start > SLOTS_AT_ONCE {
                        let Some(first) = self.first_slot(topic, *level, &rest).await? else { break };
                        rest.start = first;
                    }
                    let end = rest.end.min(rest.start + SLOTS_AT_ONCE);
                    if slots + end - rest.start > SLOTS_AT_ONCE || part.len() == AT_ONCE {
                        parts.push(std::mem::take(&mut part));
                        slots = 0;
                    }
                    slots += end - rest.start;
                    part.push((n, *level, rest.start..end));
                    rest.start = end;
                }
            }
        }
        parts.extend((!part.is_empty()).then_some(part));
        Ok(parts)
    }

    /// The first slot with an event in a range of slots.
    async fn first_slot(&mut self, topic: u32, level: usize, slots: &Range<i64>) -> Result<Option<i64>, ReadError> {
        let sql = format!(
            "SELECT slot FROM {} WHERE topic = $1 AND level = $2 AND slot >= $3 AND slot < $4 ORDER BY slot LIMIT 1",
            self.snapshot.table("slots")
        );
        let row = vec![u64::from(topic).into(), (level as u64).into(), slots.start.into(), slots.end.into()];
        let found = self.snapshot.query(&sql, row).await?;
        Ok(found.first().and_then(|row| row.first()).and_then(Cell::integer))
    }

    /// How often each actor, or each target, occurs in each of these ranges.
    pub async fn frequencies(
        &mut self,
        ranges: &[Range<u64>],
        who: Participants,
    ) -> Result<Vec<Vec<Share>>, ReadError> {
        let Some(topic) = self.topic else { return Ok(vec![Vec::new(); ranges.len()]) };
        let pieces = |range| Pieces::from_range(&span(range), OF_PARTICIPANTS);
        let ranges: Vec<Pieces> = ranges.iter().map(pieces).collect();
        let mut often: Vec<HashMap<u32, u64>> = vec![HashMap::new(); ranges.len()];
        for part in self.parts(topic, &ranges).await? {
            for row in self.slots(topic, &part, who.column()).await? {
                let Ok([n, _, _, Cell::Bytes(bytes)]) = <[Cell; 4]>::try_from(row) else {
                    return Err(unreadable());
                };
                let often = number(Some(&n)).and_then(|n| often.get_mut(n as usize)).ok_or_else(unreadable)?;
                let add = |who, events| *often.entry(who).or_default() += events;
                frequency_table::decode(&bytes, add).ok_or_else(unreadable)?;
            }
        }
        for (pieces, often) in ranges.iter().zip(&mut often) {
            for edge in &pieces.edges {
                self.moments(edge, who.columns(topic), |entry| {
                    if entry.is_of(topic) {
                        who.of(entry).iter().for_each(|who| *often.entry(*who).or_default() += 1);
                    }
                    true
                })
                .await?;
            }
        }
        Ok(often.into_iter().map(|often| often.into_iter().collect()).collect())
    }

    /// The rows of slots: the number of the range, the level, the slot and a column.
    async fn slots(&mut self, topic: u32, part: &[SlotSpan], column: &str) -> Result<Vec<Row>, ReadError> {
        let mut parameters: Row = vec![u64::from(topic).into()];
        let spans = part.iter().map(|(n, level, slots)| {
            vec![(*n as u64).into(), (*level as u64).into(), slots.start.into(), slots.end.into()]
        });
        let sql = format!(
            "SELECT w.column1, s.level, s.slot, s.{column} FROM (VALUES {}) AS w CROSS JOIN {} s WHERE s.topic = $1 \
             AND s.level = w.column2 AND s.slot >= w.column3 AND s.slot < w.column4",
            values(&mut parameters, spans),
            self.snapshot.table("slots")
        );
        Ok(self.snapshot.query(&sql, parameters).await?)
    }

    /// Passes the entries of a range in the order of time, with the wanted columns, to `each` until it returns false.
    async fn moments(
        &mut self,
        range: &Range<i64>,
        wanted: Columns,
        mut each: impl FnMut(&Entry) -> bool,
    ) -> Result<(), ReadError> {
        let mut after = (range.start, -1_i64);
        let sql = format!(
            "SELECT at, position, entry FROM {} WHERE (at, position) > ($1, $2) AND at < $3 \
             ORDER BY at, position LIMIT $4",
            self.snapshot.table("moments")
        );
        loop {
            let parameters = vec![after.0.into(), after.1.into(), range.end.into(), MOMENTS_AT_ONCE.into()];
            let rows = self.snapshot.query(&sql, parameters).await?;
            let full = rows.len() as u64 == MOMENTS_AT_ONCE;
            for row in rows {
                let Ok([Cell::Integer(at), Cell::Integer(position), Cell::Bytes(bytes)]) =
                    <[Cell; 3]>::try_from(row)
                else {
                    return Err(unreadable());
                };
                after = (at, position);
                let mut more = true;
                let each = |entry: &Entry| {
                    more = each(entry);
                    more
                };
                entry::decode(&bytes, wanted, each).ok_or_else(unreadable)?;
                if !more {
                    return Ok(());
                }
            }
            if !full {
                return Ok(());
            }
        }
    }
}
