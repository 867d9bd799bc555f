//! Reads that are bounded in bytes, for a store that has none of its own: see [`Store::read_bounded`].

use super::{Interest, Page, Store, StoreError};
use crate::events::{Ref, Stored};

/// The default of [`Store::read_bounded`].
pub(super) async fn read_bounded<S: Store + ?Sized>(
    store: &S,
    after: u64,
    limit: usize,
    bytes: usize,
    interest: &Interest,
) -> Result<Page, StoreError> {
    let (mut page, mut read, mut next) = (Page::default(), 0, 16);
    let mut after = after;
    loop {
        let asked = next.min(limit.max(1) - page.events.len());
        let found = store.read(after, asked, interest).await?;
        let full = found.events.len() >= asked;
        (page.to, after) = (found.to, found.to.position);
        for event in found.events {
            if read < bytes {
                read += event.text_bytes();
                page.events.push(event);
            } else {
                page.to = page.events.last().map_or(page.to, Stored::head);
                return Ok(page);
            }
        }
        if !full || read >= bytes || page.events.len() >= limit {
            return Ok(page);
        }
        next = ((bytes - read) / (read / page.events.len().max(1) + 1)).saturating_add(1);
    }
}

/// The default of [`Store::read_within`].
pub(super) async fn read_within<S: Store + ?Sized>(
    store: &S,
    positions: &[u64],
    bytes: usize,
) -> Result<Vec<Stored>, StoreError> {
    let (mut events, mut read, mut step) = (Vec::new(), 0, 1);
    let mut rest = positions;
    while !rest.is_empty() && read < bytes {
        let (next, later) = rest.split_at(step.min(rest.len()));
        let found = store.read_at(next).await?;
        for position in next {
            let Ok(at) = found.binary_search_by_key(position, |event| event.position) else { continue };
            if read < bytes {
                read += found[at].text_bytes();
                events.push(found[at].clone());
            }
        }
        (rest, step) = (later, (2 * step).min(64));
    }
    Ok(events)
}

/// The default of [`Store::load_within`].
pub(super) async fn load_within<S: Store + ?Sized>(
    store: &S,
    aggregate: &Ref,
    after: u64,
    limit: usize,
    bytes: usize,
) -> Result<Vec<Stored>, StoreError> {
    const FIRST: usize = 4;
    let (mut events, mut read, mut next): (Vec<Stored>, _, _) = (Vec::new(), 0, FIRST);
    while events.len() < limit && read < bytes {
        let asked = next.min(limit - events.len());
        let after = events.last().map_or(after, |last| last.sequence);
        let found = store.load(aggregate, after, asked).await?;
        let last = found.len() < asked;
        for event in found {
            if read < bytes {
                read += event.text_bytes();
                events.push(event);
            }
        }
        if last {
            break;
        }
        next = (bytes.saturating_sub(read) / (read / events.len() + 1)).saturating_add(1);
    }
    Ok(events)
}
