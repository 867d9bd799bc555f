//! Rights that lie in the log: a command depends on what its authoriser loaded.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use annals::app::{AccessContext, Ask, Authorise, Denial};
use annals::commands::{Envelope, ExecuteError};
use annals::events::Stored;
use annals::prelude::*;
use annals::store::Receipt;
use annals_test_postgres::Place;
use async_trait::async_trait;
use futures::{StreamExt, stream};

use crate::bank::*;

annals_test_postgres::both_stores!(
    no_command_has_a_position_after_the_event_that_took_its_right,
    the_last_attempt_under_the_write_lock_asks_for_the_right_too,
    a_denial_on_an_outdated_right_is_asked_again,
    a_command_may_write_the_aggregate_that_gives_its_right,
    an_authoriser_that_loads_nothing_is_asked_once,
);

/// Bob may do anything while the account `badge` is open.
#[derive(Default)]
struct WithBadge {
    asked: AtomicU64,
}

#[async_trait]
impl Authorise for WithBadge {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (Ask::Command { .. }, "bob") = (ask, access.actor().id()) else { return Ok(()) };
        match access.load::<Account>(&account("badge")).await?.open {
            true => Ok(()),
            false => Err(Denial::because("bob has no badge")),
        }
    }
}

async fn open_with_badge(place: &Place) -> Annals {
    app().authorise(WithBadge::default()).open(place.url()).await.unwrap()
}

async fn give(annals: &Annals) {
    annals.execute(OpenAccount { account: account("badge") }, &by("alice")).await.unwrap();
}

async fn take(annals: &Annals) -> Receipt {
    annals.execute(CloseAccounts { accounts: vec![account("badge")] }, &by("alice")).await.unwrap()
}

fn is_denied(error: &ExecuteError<impl std::fmt::Debug>) -> bool {
    matches!(error, ExecuteError::Denied { reason } if reason == "bob has no badge")
}

/// Pays in as bob until he is denied. Returns the number of payments.
async fn pay_until_denied(annals: Annals, into: String) -> u64 {
    for paid in 0.. {
        if let Err(error) = annals.execute(deposit(&into, 1), &by("bob")).await {
            assert!(is_denied(&error), "{error}");
            return paid;
        }
    }
    unreachable!()
}

/// The same in a pipeline. Returns the number of payments.
async fn stream_until_denied(annals: Annals, into: String) -> u64 {
    let commands = stream::repeat_with(move || Envelope::new(deposit(&into, 1), by("bob")));
    let mut answers = pin!(annals.execute_all(commands, 16));
    let mut paid = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(_) => paid += 1,
            Err(error) => {
                assert!(is_denied(&error), "{error}");
                return paid;
            }
        }
    }
    unreachable!()
}

/// Mission X34, Guarantee 1: bob pays from 24 tasks and two pipelines of two processes, and alice takes his right at a moment
/// that he cannot know. After that event, the log has no event of his, whichever process decided, and on whatever state.
async fn no_command_has_a_position_after_the_event_that_took_its_right(place: &Place) {
    let (one, other) = (open_with_badge(place).await, open_with_badge(place).await);
    let mut paid = 0;
    for round in 0..20_u64 {
        let from = one.store().head().await.unwrap().position;
        give(if round % 2 == 0 { &one } else { &other }).await;
        let mut callers = Vec::new();
        for caller in 0..24 {
            let annals = if caller % 2 == 0 { one.clone() } else { other.clone() };
            callers.push(tokio::spawn(pay_until_denied(annals, format!("a{}", caller % 10))));
        }
        for annals in [&one, &other] {
            callers.push(tokio::spawn(stream_until_denied(annals.clone(), "streamed".to_owned())));
        }
        tokio::time::sleep(Duration::from_millis(5 + round * 7 % 40)).await;
        let taken = take(if round % 3 == 0 { &one } else { &other }).await;
        for caller in callers {
            paid += caller.await.unwrap();
        }
        let events = events_after(&one, from).await;
        let late = events.iter().filter(|event| event.position > taken.first_position);
        let late: Vec<_> = late.filter(|event| event.metadata.contains("user:bob")).collect();
        assert!(late.is_empty(), "the right was taken at {}: {late:#?}", taken.first_position);
    }
    assert!(paid > 20, "he paid {paid} times only: the rounds test nothing");
    assert!(one.check(|_, _| ()).await.unwrap().is_sound());
    one.close().await;
    other.close().await;
}

async fn events_after(annals: &Annals, mut after: u64) -> Vec<Stored> {
    let mut events = Vec::new();
    loop {
        let page = annals.events(after, 1_000).await.unwrap().events;
        let Some(last) = page.last() else { return events };
        after = last.position;
        events.extend(page);
    }
}

/// Another process writes the account all the time, so that the optimistic attempts conflict.
async fn the_last_attempt_under_the_write_lock_asks_for_the_right_too(place: &Place) {
    let (one, other) = (open_with_badge(place).await, open_with_badge(place).await);
    give(&one).await;
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let other = other.clone();
            tokio::spawn(async move {
                loop {
                    other.execute(deposit("hot", 1), &by("alice")).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..10 {
        one.execute(deposit("hot", 1), &by("bob")).await.unwrap();
    }
    let taken = take(&other).await;
    for _ in 0..5 {
        assert!(is_denied(&one.execute(deposit("hot", 1), &by("bob")).await.unwrap_err()));
    }
    busy.iter().for_each(tokio::task::JoinHandle::abort);
    for busy in busy {
        assert!(busy.await.unwrap_err().is_cancelled());
    }
    let after = one.events(taken.first_position, 1_000).await.unwrap().events;
    assert!(after.iter().all(|event| !event.metadata.contains("user:bob")));
    one.close().await;
    other.close().await;
}

async fn a_denial_on_an_outdated_right_is_asked_again(place: &Place) {
    let (one, other) = (open_with_badge(place).await, open_with_badge(place).await);
    for _ in 0..10 {
        // Now the cache of `one` has the state without the right.
        assert!(is_denied(&one.execute(deposit("a", 1), &by("bob")).await.unwrap_err()));
        give(&other).await;
        let id = uuid::Uuid::new_v4();
        let receipt = one.execute(deposit("a", 1), &by("bob").command_id(id)).await.unwrap();
        take(&other).await;
        let again = one.execute(deposit("a", 1), &by("bob").command_id(id)).await.unwrap();
        assert_eq!(
            (again.first_position, again.repeated),
            (receipt.first_position, true),
            "a known id has its receipt"
        );
    }
    one.close().await;
    other.close().await;
}

async fn a_command_may_write_the_aggregate_that_gives_its_right(place: &Place) {
    let annals = open_with_badge(place).await;
    give(&annals).await;
    for _ in 0..3 {
        annals.execute(deposit("badge", 1), &by("bob")).await.unwrap();
    }
    annals.execute(CloseAccounts { accounts: vec![account("badge"), account("x")] }, &by("bob")).await.unwrap_err();
    annals.execute(CloseAccounts { accounts: vec![account("badge")] }, &by("bob")).await.unwrap();
    assert!(is_denied(&annals.execute(deposit("badge", 1), &by("bob")).await.unwrap_err()));
    annals.close().await;
}

/// A shared authoriser, so that its questions can be counted.
struct Shared(Arc<WithBadge>);

#[async_trait]
impl Authorise for Shared {
    async fn authorise(&self, access: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
        self.0.authorise(access, ask).await
    }
}

async fn an_authoriser_that_loads_nothing_is_asked_once(place: &Place) {
    let badge = Arc::new(WithBadge::default());
    let one = app().authorise(Shared(badge.clone())).open(place.url()).await.unwrap();
    let other = app().open(place.url()).await.unwrap();
    for number in 1..=10 {
        // The cached state of `one` is outdated: the first attempt conflicts.
        other.execute(deposit("a", 1), &by("alice")).await.unwrap();
        one.execute(deposit("a", 1), &by("alice")).await.unwrap();
        assert_eq!(badge.asked.load(Ordering::Relaxed), number);
    }
    give(&one).await;
    let before = badge.asked.load(Ordering::Relaxed);
    for _ in 0..10 {
        one.execute(deposit("b", 1), &by("bob")).await.unwrap();
    }
    assert_eq!(badge.asked.load(Ordering::Relaxed), before + 10, "nor is one whose right has not changed");
    one.close().await;
    other.close().await;
}
