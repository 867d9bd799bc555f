//! A summary of the log: the latest events, the most active actors, the busiest directories.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{Write, stdout};

use annals::BoxError;
use annals::cli::{counted, plain};
use annals::events::LogPosition;
use annals::prelude::*;
use annals::projections::audit::AuditLog;

use crate::files::{Actors, Directories};

/// Number of rows of each list.
const MOST: u64 = 10;

/// Documents per page that is read.
const PAGE: usize = 1_000;

/// Prints the summary as of the current head of the log.
///
/// # Errors
/// When the log or a view cannot be read, or stdout is closed.
pub async fn print(annals: &Annals) -> Result<(), BoxError> {
    let head = annals.store().head().await?;
    let sentences = latest(annals, head).await?;
    let actors = most::<Actors>(annals, head, |actor| actor.events).await?;
    let directories = most::<Directories>(annals, head, |directory| directory.events).await?;
    let mut out = stdout().lock();
    writeln!(out, "\nThe latest of {}:", counted(head.position, "event"))?;
    for sentence in sentences {
        writeln!(out, "  {}", plain(&sentence))?;
    }
    writeln!(out, "\nThe most active actors:")?;
    for (events, actor) in actors {
        writeln!(out, "  {events:>8}  {}", plain(&actor.to_string()))?;
    }
    writeln!(out, "\nThe busiest directories:")?;
    for (events, directory) in directories {
        writeln!(out, "  {events:>8}  {}", plain(&directory))?;
    }
    Ok(())
}

/// The latest sentences, newest first, each with the time of the event.
async fn latest(annals: &Annals, head: LogPosition) -> Result<Vec<String>, BoxError> {
    annals.reading(AuditLog::NAME)?.caught_up(head, None).await?;
    let page = annals.audit().newest_first().limit(MOST).page().await?;
    Ok(page.rows.iter().map(|row| format!("{:.6} {}", row.occurred_at, row.sentence)).collect())
}

/// The documents with the highest counts, highest first. One page of documents is in memory.
async fn most<V: DocumentView>(
    annals: &Annals,
    head: LogPosition,
    count: impl Fn(&V) -> u64,
) -> Result<Vec<(u64, V::Key)>, BoxError>
where
    V::Key: Ord,
{
    annals.reading(V::NAME)?.caught_up(head, None).await?;
    let mut most: BTreeSet<(Reverse<u64>, V::Key)> = BTreeSet::new();
    let mut from: Option<V::Key> = None;
    loop {
        let page = annals.views::<V>().page(PAGE, from.as_ref()).await?;
        from = page.documents.last().map(|(key, _)| key.clone());
        for (key, document) in page.documents {
            most.insert((Reverse(count(&document)), key));
            if most.len() as u64 > MOST {
                most.pop_last();
            }
        }
        if !page.more {
            return Ok(most.into_iter().map(|(Reverse(count), key)| (count, key)).collect());
        }
    }
}
