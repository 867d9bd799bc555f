//! Many callers: no command is lost, and none is decided on a state that was never committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals::commands::ExecuteError;
use annals_test_postgres::Place;

use crate::bank::*;

annals_test_postgres::both_stores!(
    transfers_between_accounts_keep_the_sum_under_64_callers,
    every_command_on_one_hot_aggregate_succeeds,
    two_writers_with_stale_caches_never_overdraw_one_account,
);

/// Mission X13: the sum never changes under 64 callers.
async fn transfers_between_accounts_keep_the_sum_under_64_callers(place: &Place) {
    let annals = open(place).await;
    for name in 0..5 {
        annals.execute(deposit(&name.to_string(), 1_000), &by("alice")).await.unwrap();
    }
    let callers = (0..64_usize).map(|caller| {
        let annals = annals.clone();
        tokio::spawn(async move {
            for step in 0..8 {
                let (from, to) = ((caller + step) % 5, (caller + 3 * step + 1) % 5);
                if from == to {
                    continue;
                }
                let transfer =
                    Transfer { from: account(&from.to_string()), to: account(&to.to_string()), cents: 300 };
                match annals.execute(transfer, &by("alice")).await {
                    Ok(_) | Err(ExecuteError::Refused(BankError::TooLittle(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let head = annals.store().head().await.unwrap();
    annals.reading("balance").unwrap().caught_up(head, None).await.unwrap();
    let mut sum = 0;
    for name in 0..5 {
        let balance = annals.view::<Balance>(&account(&name.to_string())).await.unwrap().unwrap();
        assert!(balance.cents >= 0, "a decision on a state that was never committed");
        sum += balance.cents;
    }
    assert_eq!(sum, 5_000);
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    annals.close().await;
}

/// Guarantee 6: commands on a hot aggregate succeed from all writers.
async fn every_command_on_one_hot_aggregate_succeeds(place: &Place) {
    let annals = open(place).await;
    let sum = Arc::new(AtomicI64::new(0));
    let callers = (0..64).map(|caller| {
        let (annals, sum) = (annals.clone(), sum.clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                annals.execute(deposit("hot", caller + 1), &by("alice")).await.unwrap();
                sum.fetch_add(caller + 1, Ordering::Relaxed);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let head = annals.store().head().await.unwrap();
    assert_eq!(head.position, 640);
    annals.reading("balance").unwrap().caught_up(head, None).await.unwrap();
    let balance = annals.view::<Balance>(&account("hot")).await.unwrap().unwrap();
    assert_eq!((balance.cents, balance.events), (sum.load(Ordering::Relaxed), 640));
    annals.close().await;
}

/// Guarantees 1, 5 and 6, the trap of the state cache: two handles with separate caches on one log, and one hot aggregate.
/// A cached state is stale whenever the other handle wrote.
async fn two_writers_with_stale_caches_never_overdraw_one_account(place: &Place) {
    let url = place.url();
    let (one, two) = (app().open(url).await.unwrap(), app().open(url).await.unwrap());
    one.execute(deposit("hot", 1_000), &by("alice")).await.unwrap();
    let mut callers = Vec::new();
    for caller in 0..16 {
        let annals = if caller % 2 == 0 { one.clone() } else { two.clone() };
        callers.push(tokio::spawn(async move {
            let mut sent = 0;
            for _ in 0..10 {
                let transfer = Transfer { from: account("hot"), to: account(&format!("to{caller}")), cents: 10 };
                match annals.execute(transfer, &by("alice")).await {
                    Ok(_) => sent += 10,
                    Err(ExecuteError::Refused(BankError::TooLittle(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            sent
        }));
    }
    let mut sent = 0;
    for caller in callers {
        sent += caller.await.unwrap();
    }
    assert_eq!(
        sent, 1_000,
        "the whole sum was sent: no refusal was stale, no decision was on a state that was never committed"
    );
    let log = log(&one).await;
    assert_eq!(log.iter().filter(|event| event.aggregate.id() == "hot").count(), 101);
    assert!(two.check(|_, _| ()).await.unwrap().is_sound());
    one.close().await;
    two.close().await;
}
