//! Nothing is executed by a right after its revocation, by any process.

use std::pin::pin;
use std::time::Duration;

use annals::access::GrantAccess;
use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::bank::{by, deposit};
use crate::support::*;

annals_test_postgres::both_stores!(
    no_command_has_a_position_after_the_revocation_of_its_right,
    one_caller_who_repeats_a_known_id_takes_nothing_from_others_under_the_same_grant,
);

/// Rounds of the race: `RACE_ROUNDS` sets another number.
fn rounds() -> u64 {
    std::env::var("RACE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12)
}

async fn pay_until_denied(annals: Annals, into: String, context: Context) -> u64 {
    for paid in 0.. {
        let result = annals.execute(deposit(&into, 1), &context).await;
        if is_denied(&result) {
            return paid;
        }
        result.unwrap();
    }
    unreachable!()
}

async fn stream_until_denied(annals: Annals, context: Context) -> u64 {
    let commands = stream::repeat_with(move || Envelope::new(deposit("streamed", 1), context.clone()));
    let mut answers = pin!(annals.execute_all(commands, 16));
    let mut paid = 0;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(_) => paid += 1,
            Err(ExecuteError::Denied { .. }) => return paid,
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!()
}

/// Missions X15 and X34, Guarantee 1: 64 callers and two streams in two processes execute under one grant, some by a right that
/// was passed on, some on behalf of another. After the revocation the log has no event of theirs.
async fn no_command_has_a_position_after_the_revocation_of_its_right(place: &Place) {
    let (one, other) = (open(place).await, open(place).await);
    let mut paid = 0;
    for round in 0..rounds() {
        let from = one.store().head().await.unwrap().position;
        let (first, second) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let give = GrantAccess::new(party("bob"), rights(["execute deposit *"]), "a round").delegable();
        let bobs = id_of(first, &first.execute(give, &by("alice")).await.unwrap()).await;
        let pass = GrantAccess::new(party("carol"), rights(["execute deposit *"]), "a round");
        second.execute(pass, &by("bob")).await.unwrap();
        let grants_of_dave = grant(second, "dave", &["execute deposit *"]).await;
        let contexts = [by("bob"), by("carol"), by("dave").on_behalf_of(party("bob"))];
        let mut callers = Vec::new();
        for caller in 0..64_usize {
            let annals = if caller % 2 == 0 { one.clone() } else { other.clone() };
            let context = contexts[caller % contexts.len()].clone();
            callers.push(tokio::spawn(pay_until_denied(annals, format!("a{}", caller % 20), context)));
        }
        for (annals, context) in [(&one, by("bob")), (&other, by("carol"))] {
            callers.push(tokio::spawn(stream_until_denied(annals.clone(), context)));
        }
        tokio::time::sleep(Duration::from_millis(20 + round * 13 % 60)).await;
        let revoked = revoke(second, "bob", bobs).await.first_position;
        for caller in callers {
            paid += caller.await.unwrap();
        }
        revoke(first, "dave", grants_of_dave).await;
        let late: Vec<_> = log_after(&one, from)
            .await
            .into_iter()
            .filter(|event| event.position > revoked && event.event_type == "account.deposited")
            .collect();
        assert!(late.is_empty(), "round {round}, revoked at {revoked}: {late:#?}");
    }
    assert!(paid > 10 * rounds(), "they paid {paid} times only: the rounds test nothing");
    assert!(one.check(|_, _| ()).await.unwrap().is_sound());
    one.close().await;
    other.close().await;
}

/// One caller sends an id again that the log has, all the time, and another is refused all the time, under the grant of all.
async fn one_caller_who_repeats_a_known_id_takes_nothing_from_others_under_the_same_grant(place: &Place) {
    let annals = open(place).await;
    grant(&annals, "bob", &["execute * *"]).await;
    let id = Uuid::new_v4();
    annals.execute(deposit("known", 1), &by("bob").command_id(id)).await.unwrap();
    let before = annals.store().head().await.unwrap().position;
    let nuisance: Vec<_> = (0..4_u64)
        .map(|n| {
            let annals = annals.clone();
            tokio::spawn(async move {
                loop {
                    if n % 2 == 0 {
                        let again = annals.execute(deposit("known", 1), &by("bob").command_id(id)).await.unwrap();
                        assert!(again.repeated);
                    } else {
                        let refused = crate::bank::CloseAccounts { accounts: vec![crate::bank::account("none")] };
                        annals.execute(refused, &by("bob")).await.unwrap_err();
                    }
                }
            })
        })
        .collect();
    let callers = (0..16).map(|caller| {
        let annals = annals.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                annals.execute(deposit(&format!("a{caller}"), 1), &by("bob")).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    nuisance.iter().for_each(|task| task.abort());
    assert_eq!(annals.store().head().await.unwrap().position, before + 800);
    annals.close().await;
}
