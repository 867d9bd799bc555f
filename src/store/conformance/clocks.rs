//! Ids and times with clocks that are wrong.

use jiff::{SignedDuration, Timestamp};

use super::bench::{Bench, START, append, assert_in_order, batch, commit, committed, log, time};
use crate::store::{Store, StoreError, bisect};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;

/// Mission P8, Guarantee 13.
pub(super) async fn ids_and_times_increase_when_the_clock_is_set_back_and_after_a_restart(bench: Bench) {
    let mut number = 0;
    for clock in [START, START - HOUR, START + SECOND, START - YEAR, 0, START + 2 * SECOND] {
        bench.set_clock(clock);
        let store = bench.open().await;
        for _ in 0..3 {
            committed(&*store, commit(number.into()).on("tally:a", number * 2, 2)).await;
            number += 1;
        }
        store.close().await;
    }
    let store = bench.open().await;
    let events = log(&*store).await;
    assert_eq!(events.len(), 36);
    assert_in_order(&events);
    assert_eq!(events[35].recorded_at, time(START + 2 * SECOND), "the clock's time where that is the latest");
    assert_eq!(events[30].recorded_at, time(START + 2 * SECOND));
    assert_eq!(events[12].recorded_at, time(START + SECOND));
    assert_eq!(events[29].recorded_at, time(START + SECOND), "the last one's while the clock is behind");
}

/// P8: not like a counter that wraps at 4,096.
pub(super) async fn five_thousand_events_in_one_millisecond_have_increasing_ids(bench: Bench) {
    let store = bench.open().await;
    for batch in 0..10 {
        let commits = (0..50).map(|index| {
            let number = batch * 50 + index;
            commit(number.into()).on("tally:a", number * 10, 10)
        });
        append(&*store, commits).await;
    }
    let events = log(&*store).await;
    assert_eq!(events.len(), 5_000);
    assert_in_order(&events);
    assert!(events.iter().all(|event| event.recorded_at == time(START)));
}

/// P8: the ids of a year ahead are not taken back, nor given twice.
pub(super) async fn ids_increase_after_the_clock_was_a_year_ahead(bench: Bench) {
    bench.set_clock(START + YEAR);
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 10)).await;
    store.close().await;
    bench.set_clock(START);
    let store = bench.open().await;
    committed(&*store, commit(2).on("tally:a", 10, 1_000)).await;
    let events = log(&*store).await;
    assert_in_order(&events);
    assert!(events.iter().all(|event| event.recorded_at == time(START + YEAR)));
    bench.set_clock(START + YEAR + SECOND);
    committed(&*store, commit(3).on("tally:a", 1_010, 1)).await;
    let events = log(&*store).await;
    assert_in_order(&events);
    assert_eq!(events[1_010].recorded_at, time(START + YEAR + SECOND));
}

/// Guarantee 13: the store has a clock of its own, beyond which nothing is recorded.
pub(super) async fn a_clock_that_is_ahead_shifts_no_times_and_is_refused_beyond_a_limit(bench: Bench) {
    if !bench.fixture().has_its_own_clock() {
        return;
    }
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let before = Timestamp::now();
    bench.set_clock(before.as_microsecond() + YEAR);
    let receipt = committed(&*store, commit(2).on("tally:a", 1, 2)).await;
    let late = Timestamp::now() + SignedDuration::from_secs(60);
    assert!(receipt.recorded_at < late, "the store's own clock counts: {}", receipt.recorded_at);
    bench.set_clock(before.as_microsecond() + 10 * YEAR);
    let refused = store.append(batch([commit(3).on("tally:a", 3, 1)])).await;
    match refused {
        Err(StoreError::Unusable { reason, .. }) => {
            assert!(reason.contains("clock_ahead_days"), "it names the operator's limit: {reason}");
        }
        other => panic!("it must be refused: {other:?}"),
    }
    let known = append(&*store, [commit(2).on("tally:a", 1, 2)]).await;
    assert_eq!(super::bench::duplicate(known[0]).first_position, 2, "what is known is answered all the same");
    bench.set_clock(Timestamp::now().as_microsecond());
    committed(&*store, commit(3).on("tally:a", 3, 1)).await;
    let events = log(&*store).await;
    assert_eq!(events.len(), 4);
    assert_in_order(&events);
    for event in events {
        let (seconds, _) = event.event_id.get_timestamp().expect("a time in it").to_unix();
        assert!(seconds as i64 <= late.as_second(), "no id is ahead: {}", event.event_id);
        assert!(event.recorded_at < late, "no time is ahead: {}", event.recorded_at);
    }
}

pub(super) async fn ids_are_uuids_of_version_7_with_their_time(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    bench.set_clock(START + HOUR);
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    for (stored, at) in log(&*store).await.iter().zip([START, START + HOUR]) {
        assert_eq!(stored.event_id.get_version_num(), 7);
        let (seconds, nanos) = stored.event_id.get_timestamp().expect("a time in it").to_unix();
        assert_eq!(seconds as i64 * 1_000 + i64::from(nanos / 1_000_000), at / 1_000);
    }
}

/// Guarantee 13: `occurred_at` is a column of its own, unordered.
pub(super) async fn occurred_at_is_kept_in_whole_microseconds_and_defaults_to_recorded_at(bench: Bench) {
    let store = bench.open().await;
    let fine = jiff::Timestamp::new(1_600_000_000, 123_456_789).expect("a time in range");
    committed(&*store, commit(1).on("tally:a", 0, 2).occurred_at(fine)).await;
    committed(&*store, commit(2).on("tally:a", 2, 1)).await;
    // The last time of all has a fraction of a second.
    committed(&*store, commit(3).on("tally:a", 3, 1).occurred_at(Timestamp::MAX)).await;
    let events = log(&*store).await;
    let occurred: Vec<_> = events.iter().map(|event| event.occurred_at).collect();
    let whole = time(1_600_000_000_123_456);
    let last = Timestamp::MAX - SignedDuration::from_nanos(999);
    assert_eq!(occurred, [whole, whole, time(START), last]);
    assert!(events.iter().all(|event| event.recorded_at == time(START)));
}

/// The position of the first event recorded at or after this time.
async fn first_at(store: &dyn Store, time: Timestamp) -> u64 {
    bisect(store, |event| event.recorded_at < time).await.expect("a position")
}

/// Mission P13: a range of times is a range of positions; its start is inclusive.
pub(super) async fn the_first_position_of_a_time_is_found(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(first_at(&*store, time(START)).await, 1, "one past the head of an empty log");
    for number in 0..10 {
        bench.set_clock(START + i64::try_from(number).unwrap_or(0) * SECOND);
        committed(&*store, commit(number.into()).on("tally:a", number * 3, 3)).await;
    }
    for number in 0..10 {
        let at = START + i64::try_from(number).unwrap_or(0) * SECOND;
        let first = number * 3 + 1;
        assert_eq!(first_at(&*store, time(at)).await, first, "of several at one time the first");
        assert_eq!(first_at(&*store, time(at - 1)).await, first);
        assert_eq!(first_at(&*store, time(at + 1)).await, first + 3);
        let nanos = Timestamp::from_nanosecond(i128::from(at) * 1_000 + 1).expect("a time in range");
        assert_eq!(first_at(&*store, nanos).await, first + 3, "a nanosecond later is later");
    }
    assert_eq!(first_at(&*store, time(0)).await, 1);
    assert_eq!(first_at(&*store, Timestamp::MAX).await, 31, "one past the head");
    assert_eq!(first_at(&*store, Timestamp::MIN).await, 1);
}
