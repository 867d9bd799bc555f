//! Block closing: writes entries, and a block's sums and frequencies when it is complete. The result depends on the
//! log alone, not on the batches in which it was processed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use super::blocks::{self, FAN, LEVELS};
use super::entry::{self, Columns, Entry};
use super::frequency_table::{self, FrequencyTable, Share};
use super::prefix_sums::PrefixSums;
use super::tables::{BLOCKS, CROWDS, ENTRIES, RUNNING};
use crate::projections::ProjectionError;
use crate::store::{Cell, OnConflict, Row, Transaction};

/// Writes entries, and closes the blocks that end up to position `to`.
pub(super) async fn take_in(
    to: u64,
    mut new: Vec<Entry>,
    transaction: &mut dyn Transaction,
) -> Result<(), ProjectionError> {
    let (done, mut last_at) = done(transaction).await?;
    let full = done..blocks::complete_before(0, to.saturating_add(1));
    if !full.is_empty() {
        let mut entries = loose(transaction).await?;
        let end = blocks::positions(0, full.end).start;
        entries.extend(new.drain(..new.partition_point(|entry| entry.position < end)));
        let delete = format!("DELETE FROM {} WHERE position < $1", transaction.table("entries"));
        transaction.execute(&delete, vec![end.into()]).await?;
        complete(full.clone(), &entries, &mut last_at, transaction).await?;
        for level in 1..LEVELS {
            let end = blocks::complete_before(level, end);
            for block in blocks::complete_before(level, blocks::positions(0, full.start).start)..end {
                join(level, block, transaction).await?;
            }
        }
    }
    let row = |entry| Cell::Bytes(entry::encode(std::slice::from_ref(entry)));
    let rows = new.iter().map(|entry| vec![entry.position.into(), row(entry)]).collect();
    Ok(transaction.insert_rows(&ENTRIES, rows, OnConflict::Fail).await?)
}

/// The number of complete blocks, and when the last event in them was recorded.
async fn done(transaction: &mut dyn Transaction) -> Result<(u64, i64), ProjectionError> {
    let sql = format!("SELECT block, last_at FROM {} ORDER BY block DESC LIMIT 1", transaction.table("blocks"));
    match transaction.query(&sql, Vec::new()).await?.first().map(Vec::as_slice) {
        None => Ok((0, i64::MIN)),
        Some([Cell::Integer(block), Cell::Integer(at)]) => Ok((block.cast_unsigned() + 1, *at)),
        Some(_) => Err(damaged("blocks")),
    }
}

/// The entries of the incomplete block.
async fn loose(transaction: &mut dyn Transaction) -> Result<Vec<Entry>, ProjectionError> {
    let sql = format!("SELECT entry FROM {} ORDER BY position", transaction.table("entries"));
    let mut entries = Vec::new();
    for row in transaction.query(&sql, Vec::new()).await? {
        let mut read = |entry: &Entry| {
            entries.push(entry.clone());
            true
        };
        entry::decode(bytes(row.first())?, Columns::ALL, &mut read).ok_or_else(|| damaged("entries"))?;
    }
    Ok(entries)
}

/// Writes these complete blocks.
async fn complete(
    full: Range<u64>,
    mut entries: &[Entry],
    last_at: &mut i64,
    transaction: &mut dyn Transaction,
) -> Result<(), ProjectionError> {
    let mut running = last_numbers(full.start, entries, transaction).await?;
    let (mut packed, mut numbers, mut frequencies): (Vec<Row>, Vec<Row>, Vec<Row>) = Default::default();
    for block in full {
        let end = blocks::positions(0, block).end;
        let within;
        (within, entries) = entries.split_at(entries.partition_point(|entry| entry.position < end));
        *last_at = within.last().map_or(*last_at, |entry| entry.at);
        // A block without entries is written too: the blocks after the last one are not complete.
        packed.push(vec![block.into(), (*last_at).into(), Cell::Bytes(entry::encode(within))]);
        let (mut actors, mut targets) = (Vec::new(), Vec::new());
        for entry in within {
            for topic in entry.counts_for() {
                running.entry(topic).or_default().take_in(entry);
                actors.push((topic, entry.actor));
                targets.extend(entry.targets.iter().map(|target| (topic, *target)));
            }
        }
        let (actors, mut targets) = (by_topic(actors), by_topic(targets));
        for (topic, actors) in actors {
            if let Some(running) = running.get(&topic) {
                numbers.push(vec![topic_cell(topic), block.into(), Cell::Bytes(running.encode())]);
            }
            let targets = targets.remove(&topic).unwrap_or_default();
            frequencies.push(frequency_row(topic, 0, block, actors, targets));
        }
    }
    for (table, rows) in [(&BLOCKS, packed), (&RUNNING, numbers), (&CROWDS, frequencies)] {
        transaction.insert_rows(table, rows, OnConflict::Fail).await?;
    }
    Ok(())
}

/// How often each number occurs, by topic.
fn by_topic(mut pairs: Vec<(u32, u32)>) -> BTreeMap<u32, Vec<Share>> {
    pairs.sort_unstable();
    let mut topics: BTreeMap<u32, Vec<Share>> = BTreeMap::new();
    for same in pairs.chunk_by(|one, other| one == other) {
        if let Some((topic, who)) = same.first() {
            topics.entry(*topic).or_default().push((*who, same.len() as u64));
        }
    }
    topics
}

/// The prefix sums of all topics of these entries, at the end of the block before this one.
async fn last_numbers(
    block: u64,
    entries: &[Entry],
    transaction: &mut dyn Transaction,
) -> Result<HashMap<u32, PrefixSums>, ProjectionError> {
    if block == 0 {
        return Ok(HashMap::new());
    }
    let topics: BTreeSet<u32> = entries.iter().flat_map(Entry::counts_for).collect();
    let keys = topics.iter().map(|topic| vec![topic_cell(*topic)]).collect();
    let found = transaction.select_by_keys(&RUNNING, &["topic"], &["numbers"], keys).await?;
    let mut numbers = HashMap::with_capacity(topics.len());
    for (topic, row) in topics.into_iter().zip(found) {
        if let Some(row) = row {
            numbers
                .insert(topic, PrefixSums::decode(bytes(row.first())?).ok_or_else(|| damaged("running numbers"))?);
        }
    }
    Ok(numbers)
}

/// The frequencies in the blocks of a level, from one block up to another.
pub(super) fn below(crowds: &str) -> String {
    format!("SELECT topic, actors, targets FROM {crowds} WHERE level = $1 AND block >= $2 AND block < $3")
}

/// Writes a block of a higher level from the blocks below it.
async fn join(level: u32, block: u64, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
    let sql = below(&transaction.table("crowds"));
    let blocks = vec![u64::from(level - 1).into(), (block * FAN).into(), ((block + 1) * FAN).into()];
    let mut topics: BTreeMap<i64, Vec<[Cell; 2]>> = BTreeMap::new();
    for row in transaction.query(&sql, blocks).await? {
        let Ok([Cell::Integer(topic), actors, targets]) = <[Cell; 3]>::try_from(row) else {
            return Err(damaged("frequencies"));
        };
        topics.entry(topic).or_default().push([actors, targets]);
    }
    let (mut rows, mut frequencies) = (Vec::with_capacity(topics.len()), FrequencyTable::default());
    for (topic, below) in topics {
        let mut all = |who: usize| {
            for cells in &below {
                frequencies.count_all(bytes(cells.get(who))?).ok_or_else(|| damaged("frequencies"))?;
            }
            let mut shares = frequencies.take();
            shares.sort_unstable();
            Ok::<_, ProjectionError>(shares)
        };
        let topic = u32::try_from(topic).map_err(|_| damaged("frequencies"))?;
        rows.push(frequency_row(topic, level, block, all(0)?, all(1)?));
    }
    Ok(transaction.insert_rows(&CROWDS, rows, OnConflict::Fail).await?)
}

fn frequency_row(topic: u32, level: u32, block: u64, actors: Vec<Share>, targets: Vec<Share>) -> Row {
    let shares = |shares| Cell::Bytes(frequency_table::encode(shares));
    vec![topic_cell(topic), u64::from(level).into(), block.into(), shares(actors), shares(targets)]
}

fn topic_cell(topic: u32) -> Cell {
    u64::from(topic).into()
}

fn bytes(cell: Option<&Cell>) -> Result<&[u8], ProjectionError> {
    match cell {
        Some(Cell::Bytes(bytes)) => Ok(bytes),
        _ => Err(damaged("bytes")),
    }
}

fn damaged(what: &str) -> ProjectionError {
    ProjectionError::Other(format!("{what} of the metrics cannot be read: rebuild them").into())
}
