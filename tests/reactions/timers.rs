//! What is due later: Mission X18.

use annals::prelude::*;
use annals::testing::TestClock;
use annals_test_postgres::Place;
use jiff::{SignedDuration, Timestamp};

use crate::shop::*;
use crate::until;

/// A clock that is some days behind: the store records by it until it reaches its own.
fn clock() -> TestClock {
    TestClock::at(Timestamp::now() - SignedDuration::from_hours(72))
}

async fn open(place: &Place, clock: &TestClock) -> Annals {
    shop().reaction::<Lapsing>().reaction::<Packing>().clock(clock.reader()).open(place.url()).await.unwrap()
}

async fn timers(annals: &Annals) -> usize {
    annals.pending_steps("lapsing", 100).await.unwrap().len()
}

async fn events(annals: &Annals, id: &str) -> Vec<String> {
    let events = annals.history(&order(id).reference(), 0, 100).await.unwrap();
    events.into_iter().map(|stored| stored.event_type).collect()
}

pub async fn a_timer_fires_once_when_it_is_due_and_not_before(place: &Place) {
    let clock = clock();
    let annals = open(place, &clock).await;
    let placed = annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 1).await;
    clock.advance(SignedDuration::from_secs(3_599));
    // Another order shows that the reaction has looked at the clock since.
    annals.execute(PlaceOrder { order: order("2") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(events(&annals, "1").await, ["order.placed"]);
    clock.advance(SignedDuration::from_secs(1));
    until(async || timers(&annals).await == 1).await;
    assert_eq!(events(&annals, "1").await, ["order.placed", "order.lapsed"]);
    let lapsed = annals.history(&order("1").reference(), 1, 1).await.unwrap().remove(0);
    assert!(lapsed.recorded_at >= placed.recorded_at + HOUR);
    clock.advance(SignedDuration::from_hours(2));
    until(async || timers(&annals).await == 0).await;
    assert_eq!(events(&annals, "2").await, ["order.placed", "order.lapsed"]);
    // Setting the clock back fires nothing again, and what follows at once follows at once.
    clock.advance(SignedDuration::from_hours(-3));
    annals.execute(Pay { order: order("4") }, &by("alice")).await.unwrap();
    until(async || packed(&annals, "4").await == [1]).await;
    annals.execute(PlaceOrder { order: order("3") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 1).await;
    assert_eq!(events(&annals, "1").await.len() + events(&annals, "2").await.len(), 4);
    annals.close().await;
}

pub async fn a_cancelled_timer_does_not_fire(place: &Place) {
    let clock = clock();
    let annals = open(place, &clock).await;
    for id in ["1", "2"] {
        annals.execute(PlaceOrder { order: order(id) }, &by("alice")).await.unwrap();
    }
    annals.execute(Pay { order: order("1") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 1).await;
    // Setting it again replaces it.
    clock.advance(SignedDuration::from_secs(1_800));
    annals.execute(PlaceOrder { order: order("2") }, &by("alice")).await.unwrap();
    let due = async || annals.pending_steps("lapsing", 10).await.unwrap()[0].due;
    let later = clock.now() + SignedDuration::from_secs(3_599);
    until(async || due().await >= later).await;
    assert_eq!(timers(&annals).await, 1);
    clock.advance(SignedDuration::from_secs(3_601));
    until(async || timers(&annals).await == 0).await;
    assert_eq!(events(&annals, "1").await, ["order.placed", "order.paid"]);
    assert_eq!(events(&annals, "2").await, ["order.placed", "order.placed", "order.lapsed"]);
    annals.close().await;
}

pub async fn a_timer_survives_a_restart_and_fires_at_once_if_it_is_overdue(place: &Place) {
    let clock = clock();
    let annals = open(place, &clock).await;
    annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 1).await;
    annals.close().await;
    clock.advance(SignedDuration::from_hours(5));
    let annals = open(place, &clock).await;
    until(async || timers(&annals).await == 0).await;
    assert_eq!(events(&annals, "1").await, ["order.placed", "order.lapsed"]);
    annals.close().await;
}

/// The store records by its own clock, which the application's cannot be ahead of.
pub async fn a_clock_that_is_ahead_fires_no_timer_early(place: &Place) {
    let clock = TestClock::at(Timestamp::now());
    let annals = open(place, &clock).await;
    annals.execute(PlaceOrder { order: order("1") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 1).await;
    clock.advance(SignedDuration::from_hours(2));
    annals.execute(PlaceOrder { order: order("2") }, &by("alice")).await.unwrap();
    until(async || timers(&annals).await == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(events(&annals, "1").await, ["order.placed"]);
    annals.close().await;
}
