//! Reads of the log that are bounded in bytes, whatever the events hold: about [`READ_BYTES`] at a time, and at least one event.

use super::{Interest, Page, Store, StoreError};
use crate::events::{Ref, Stored};

/// The payloads and metadata that are read at a time, in bytes. One event may be larger.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// Reads the next events at these different positions, in this order: about [`READ_BYTES`], and at least one. Returns the
/// positions that are left too.
pub(crate) async fn read_some<'p>(
    log: &dyn Store,
    positions: &'p [u64],
) -> Result<(Vec<Stored>, &'p [u64]), StoreError> {
    let events = log.read_within(positions, READ_BYTES).await?;
    let read = events.iter().map(Stored::text_bytes).sum::<usize>();
    // With fewer bytes, the store reached the end of the positions.
    let last = events.last().filter(|_| read >= READ_BYTES).map(|last| last.position);
    let at = last.and_then(|last| positions.iter().rposition(|position| *position == last));
    Ok((events, at.map_or(&[], |at| &positions[at + 1..])))
}

/// Whether a read ended because the events have [`READ_BYTES`] or more.
pub(crate) fn is_full(events: &[Stored]) -> bool {
    events.iter().map(Stored::text_bytes).sum::<usize>() >= READ_BYTES
}

/// Reads the next events after a position, at most `limit`.
pub(crate) async fn read_page(log: &dyn Store, after: u64, limit: usize) -> Result<Page, StoreError> {
    let head = log.head().await?;
    let end = after.saturating_add(limit as u64).min(head.position);
    if end <= after {
        return Ok(Page { events: Vec::new(), to: head });
    }
    let positions: Vec<u64> = (after + 1..=end).collect();
    let (events, _) = read_some(log, &positions).await?;
    match events.last().map(Stored::head) {
        Some(to) => Ok(Page { events, to }),
        // Events are missing, which a check reports: the next one follows the gap.
        None => log.read(after, 1, &Interest::All).await,
    }
}

/// Reads the next events of an aggregate after a sequence, at most `limit`.
pub(crate) async fn read_history(
    log: &dyn Store,
    aggregate: &Ref,
    after: u64,
    limit: usize,
) -> Result<Vec<Stored>, StoreError> {
    log.load_within(aggregate, after, limit, READ_BYTES).await
}

/// How many events one round of [`bisect`] reads.
const PROBES: u64 = 64;

/// Returns the position of the first event for which `is_before` is false; one past the head if there is none. All
/// events for which it is true must precede the others, as for a bound on ids or on `recorded_at`.
pub(crate) async fn bisect(log: &dyn Store, is_before: impl Fn(&Stored) -> bool) -> Result<u64, StoreError> {
    let (mut low, mut high) = (1, log.head().await?.position + 1);
    let mut probed = PROBES;
    while low < high {
        let step = (high - low).div_ceil(probed);
        // The middle of each step: of a single probe, half of the range remains.
        let probes: Vec<u64> = (0..probed).map(|n| low + n * step + step / 2).take_while(|it| *it < high).collect();
        let (events, left) = read_some(log, &probes).await?;
        for event in events {
            if is_before(&event) {
                low = event.position + 1;
            } else {
                high = event.position;
                break;
            }
        }
        // Large events: one at a time.
        probed = if left.is_empty() { probed } else { 1 };
    }
    Ok(low)
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "conformance"))]
mod tests {
    use std::sync::Arc;

    use annals_test_postgres::Place;

    use super::*;
    use crate::store::conformance::bench::{aggregate, commit, committed};
    use crate::store::{OpenOptions, open};

    annals_test_postgres::both_stores!(reads_of_large_events_end_early_and_continue_without_a_gap);

    /// The sizes of the events of one aggregate, in KiB.
    const SIZES: [usize; 12] = [1, 300, 300, 300, 300, 300, 2_000, 1, 1, 300, 1, 1];

    fn positions(events: &[Stored]) -> Vec<u64> {
        events.iter().map(|event| event.position).collect()
    }

    async fn reads_of_large_events_end_early_and_continue_without_a_gap(place: &Place) {
        let clock = Arc::new(jiff::Timestamp::now);
        let store = open(place.url(), OpenOptions { app: "x".to_owned(), clock, create: true }).await.unwrap();
        for (sequence, kib) in (0..).zip(SIZES) {
            let payload = format!("\"{}\"", "a".repeat(kib << 10));
            committed(&*store, commit(sequence.into()).payload("tally:a", sequence, "1.0", &payload)).await;
        }
        let store = &*store;

        let all: Vec<u64> = (1..=12).collect();
        let (first, left) = read_some(store, &all).await.unwrap();
        assert_eq!((positions(&first).as_slice(), left), all.split_at(5));
        let (second, left) = read_some(store, left).await.unwrap();
        assert_eq!((positions(&second).as_slice(), left), all[5..].split_at(2));
        let (rest, left) = read_some(store, left).await.unwrap();
        assert_eq!((positions(&rest).as_slice(), left), (&all[7..], &[][..]));
        #[cfg(feature = "http")]
        assert_eq!([first, second, rest].map(|events| is_full(&events)), [true, true, false]);

        let mut pages = Vec::new();
        while pages.last() != Some(&12) {
            let after = pages.last().copied().unwrap_or(0);
            let page = read_page(store, after, 4).await.unwrap();
            assert_eq!(positions(&page.events), (after + 1..=page.to.position).collect::<Vec<u64>>());
            assert_eq!(page.events.last().map(Stored::head), Some(page.to));
            pages.push(page.to.position);
        }
        assert_eq!(pages, [4, 7, 11, 12]);
        for after in [12, 99] {
            let page = read_page(store, after, 4).await.unwrap();
            assert_eq!((page.events, page.to), (Vec::new(), store.head().await.unwrap()));
        }

        let tally = aggregate("tally:a");
        for (after, limit, expected) in [(0, 99, 1..=5), (5, 99, 6..=7), (9, 99, 10..=12), (7, 2, 8..=9)] {
            let events = read_history(store, &tally, after, limit).await.unwrap();
            assert_eq!(positions(&events), expected.collect::<Vec<u64>>());
        }
        assert_eq!(read_history(store, &tally, 12, 99).await.unwrap(), []);

        for first in 1..=13 {
            assert_eq!(bisect(store, |event| event.position < first).await.unwrap(), first);
        }
    }
}
