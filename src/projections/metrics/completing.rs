//! What is written when a block is complete. It depends on the log alone, not on the batches that the log came in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::blocks::{self, EVENTS, FAN, LEVELS};
use super::crowd::{Crowd, count_all};
use super::entry::{COLUMNS, Entry};
use super::running::Running;
use crate::projections::ProjectionError;
use crate::store::{Cell, Row, Transaction};

/// How often each actor, or each target, occurs, by names that somebody else keeps.
type Names<'a> = HashMap<&'a str, u64>;

/// Completes the blocks that these entries, which come after the position `from`, fill.
pub(super) async fn complete(
    from: u64,
    entries: Vec<Entry>,
    transaction: &mut dyn Transaction,
) -> Result<(), ProjectionError> {
    let Some(to) = entries.last().map(|entry| entry.position) else { return Ok(()) };
    let full = |level| blocks::complete_before(level, from + 1)..blocks::complete_before(level, to + 1);
    if full(0).is_empty() {
        return Ok(());
    }
    let mut begun = begun(from, transaction).await?;
    begun.extend(entries);
    let whole: Vec<&[Entry]> = begun.chunks_exact(EVENTS as usize).collect();
    let mut running = last_numbers(from, &whole, transaction).await?;
    let (mut numbers, mut crowds): (Vec<Row>, Vec<Row>) = Default::default();
    for (block, entries) in full(0).zip(whole) {
        let mut topics: BTreeMap<&str, (Names<'_>, Names<'_>)> = BTreeMap::new();
        for entry in entries {
            for topic in entry.counts_for() {
                let numbers = match running.get_mut(topic) {
                    Some(numbers) => numbers,
                    None => running.entry(topic.to_owned()).or_default(),
                };
                numbers.take_in(entry.position, entry.at, &entry.event_type);
                let (actors, targets) = topics.entry(topic).or_default();
                *actors.entry(entry.actor.as_str()).or_default() += 1;
                for target in &entry.targets {
                    *targets.entry(target.as_str()).or_default() += 1;
                }
            }
        }
        for (topic, (actors, targets)) in topics {
            if let Some(running) = running.get(topic) {
                numbers.push(vec![topic.into(), block.into(), json(running)?]);
            }
            crowds.push(vec![topic.into(), 0_u64.into(), block.into(), ordered(&actors)?, ordered(&targets)?]);
        }
    }
    let insert = format!("INSERT INTO {} VALUES ($1, $2, $3)", transaction.table("running"));
    transaction.execute_many(&insert, numbers).await?;
    keep(crowds, transaction).await?;
    for level in 1..LEVELS {
        for block in full(level) {
            join(level, block, transaction).await?;
        }
    }
    Ok(())
}

/// The entries of the block that the position `from` lies in, if it does not end there.
async fn begun(from: u64, transaction: &mut dyn Transaction) -> Result<Vec<Entry>, ProjectionError> {
    let start = blocks::positions(0, blocks::complete_before(0, from + 1)).start;
    if start > from {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM {} WHERE position >= $1 AND position <= $2 ORDER BY position",
        transaction.table("entries")
    );
    let rows = transaction.query(&sql, vec![start.into(), from.into()]).await?;
    rows.iter().map(|row| Entry::read(row).ok_or_else(|| damaged("entries"))).collect()
}

/// The running numbers of all topics in these blocks, as they were before them.
async fn last_numbers(
    from: u64,
    blocks: &[&[Entry]],
    transaction: &mut dyn Transaction,
) -> Result<HashMap<String, Running>, ProjectionError> {
    if from < EVENTS {
        return Ok(HashMap::new());
    }
    let entries = blocks.iter().flat_map(|entries| entries.iter());
    let topics: BTreeSet<&str> = entries.flat_map(Entry::counts_for).collect();
    let sql = format!(
        "SELECT numbers FROM {} WHERE topic = $1 ORDER BY block DESC LIMIT 1",
        transaction.table("running")
    );
    let found = transaction.query_many(&sql, topics.iter().map(|topic| vec![Cell::from(*topic)]).collect()).await?;
    let mut numbers = HashMap::with_capacity(topics.len());
    for (topic, rows) in topics.into_iter().zip(found) {
        if let Some(cell) = rows.first().and_then(|row| row.first()) {
            numbers.insert(topic.to_owned(), parse(cell)?);
        }
    }
    Ok(numbers)
}

/// Makes a block of the blocks below it.
async fn join(level: u32, block: u64, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
    let sql = format!(
        "SELECT topic, actors, targets FROM {} WHERE level = $1 AND block >= $2 AND block < $3",
        transaction.table("crowds")
    );
    let below = vec![u64::from(level - 1).into(), (block * FAN).into(), ((block + 1) * FAN).into()];
    let mut topics: BTreeMap<String, (Crowd, Crowd)> = BTreeMap::new();
    for row in transaction.query(&sql, below).await? {
        let [Cell::Text(topic), actors, targets] = row.as_slice() else { return Err(damaged("crowds")) };
        let (all_actors, all_targets) = topics.entry(topic.clone()).or_default();
        take_in(all_actors, actors)?;
        take_in(all_targets, targets)?;
    }
    let rows = topics.into_iter().map(|(topic, (actors, targets))| {
        Ok(vec![topic.into(), u64::from(level).into(), block.into(), ordered(&actors)?, ordered(&targets)?])
    });
    let rows: Result<_, ProjectionError> = rows.collect();
    keep(rows?, transaction).await
}

async fn keep(crowds: Vec<Row>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
    let insert = format!("INSERT INTO {} VALUES ($1, $2, $3, $4, $5)", transaction.table("crowds"));
    Ok(transaction.execute_many(&insert, crowds).await?)
}

/// A crowd as text, in the order of names: the same one is the same text.
fn ordered<N: AsRef<str>>(crowd: &HashMap<N, u64>) -> Result<Cell, ProjectionError> {
    json(&crowd.iter().map(|(name, count)| (name.as_ref(), *count)).collect::<BTreeMap<&str, u64>>())
}

fn take_in(crowd: &mut Crowd, cell: &Cell) -> Result<(), ProjectionError> {
    let text = cell.text().ok_or_else(|| damaged("a block"))?;
    count_all(crowd, text).map_err(|source| ProjectionError::Document { key: "a block".to_owned(), source })
}

fn json(value: &impl serde::Serialize) -> Result<Cell, ProjectionError> {
    serde_json::to_string(value).map(Cell::Text).map_err(|error| ProjectionError::Other(Box::new(error)))
}

fn parse<T: serde::de::DeserializeOwned>(cell: &Cell) -> Result<T, ProjectionError> {
    let text = cell.text().ok_or_else(|| damaged("a block"))?;
    serde_json::from_str(text).map_err(|source| ProjectionError::Document { key: "a block".to_owned(), source })
}

fn damaged(what: &str) -> ProjectionError {
    ProjectionError::Other(format!("{what} of the metrics cannot be read: rebuild them").into())
}
