//! Rights that end at a time.

use annals::access::GrantAccess;
use annals::prelude::*;
use annals::testing::TestClock;
use annals_test_postgres::Place;
use jiff::{SignedDuration, Timestamp};

use crate::bank::{by, deposit};
use crate::support::*;

annals_test_postgres::both_stores!(
    a_right_ends_at_its_time_and_stays_ended_when_the_clock_is_set_back,
    the_time_at_which_something_occurred_extends_no_right,
    a_command_that_was_long_on_its_way_is_not_executed_by_a_right_that_ended_meanwhile,
    a_clock_that_is_behind_the_log_extends_no_right,
);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

async fn open_at(place: &Place, clock: &TestClock) -> Annals {
    app().clock(clock.reader()).open(place.url()).await.unwrap()
}

async fn grant_until(annals: &Annals, until: Timestamp) {
    let command = GrantAccess::new(party("bob"), rights(["execute * *"]), "for a while").until(until);
    annals.execute(command, &by("alice")).await.unwrap();
}

/// Guarantee 27.
async fn a_right_ends_at_its_time_and_stays_ended_when_the_clock_is_set_back(place: &Place) {
    let clock = TestClock::at(start());
    let annals = open_at(place, &clock).await;
    grant_until(&annals, start() + SignedDuration::from_hours(1)).await;
    clock.advance(SignedDuration::from_mins(59));
    annals.execute(deposit("a", 1), &by("bob")).await.unwrap();
    clock.advance(SignedDuration::from_mins(1));
    assert!(is_denied(&annals.execute(deposit("a", 1), &by("bob")).await));
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    clock.advance(SignedDuration::from_hours(-5));
    assert!(is_denied(&annals.execute(deposit("a", 1), &by("bob")).await), "the log is later than the clock");
    annals.close().await;
}

async fn the_time_at_which_something_occurred_extends_no_right(place: &Place) {
    let clock = TestClock::at(start());
    let annals = open_at(place, &clock).await;
    grant_until(&annals, start() + SignedDuration::from_hours(1)).await;
    clock.advance(SignedDuration::from_hours(2));
    let then = by("bob").occurred_at(start() + SignedDuration::from_mins(5));
    assert!(is_denied(&annals.execute(deposit("a", 1), &then).await));
    annals.close().await;
}

/// The clock moves between the answer of access control and the append: while the command is prepared.
async fn a_command_that_was_long_on_its_way_is_not_executed_by_a_right_that_ended_meanwhile(place: &Place) {
    let clock = TestClock::at(start());
    let end = start() + SignedDuration::from_hours(1);
    let reads = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(i64::MAX));
    let (reader, countdown) = (clock.clone(), reads.clone());
    let ticking = move || {
        if countdown.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            reader.advance(SignedDuration::from_hours(2));
        }
        reader.now()
    };
    let first = open_at(place, &clock).await;
    grant_until(&first, end).await;
    first.close().await;
    let mut late = 0;
    // After each number of looks at the clock, the time is over. A process that has met the end remembers it: so a new one.
    for looks in 0..12 {
        let annals = app().clock(ticking.clone()).open(place.url()).await.unwrap();
        reads.store(looks, std::sync::atomic::Ordering::SeqCst);
        let paid = annals.execute(deposit("a", 1), &by("bob")).await;
        reads.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
        let ended = clock.now() >= end;
        match paid {
            Ok(receipt) => assert!(receipt.recorded_at < end, "recorded at {}", receipt.recorded_at),
            denied => {
                assert!(is_denied(&denied) && ended, "{denied:?}");
                late += 1;
            }
        }
        annals.close().await;
        let ahead = clock.now().duration_since(start());
        clock.advance(-ahead);
    }
    assert!(late > 0, "the time was never over in between");
}

/// Another process has written at a later time: the store decides by that.
async fn a_clock_that_is_behind_the_log_extends_no_right(place: &Place) {
    let (behind, ahead) = (TestClock::at(start()), TestClock::at(start()));
    let (one, other) = (open_at(place, &behind).await, open_at(place, &ahead).await);
    let end = start() + SignedDuration::from_hours(1);
    grant_until(&one, end).await;
    one.execute(deposit("a", 1), &by("bob")).await.unwrap();
    ahead.advance(SignedDuration::from_hours(3));
    other.execute(deposit("b", 1), &by("alice")).await.unwrap();
    for _ in 0..3 {
        assert!(is_denied(&one.execute(deposit("a", 1), &by("bob")).await));
    }
    one.close().await;
    other.close().await;
}
