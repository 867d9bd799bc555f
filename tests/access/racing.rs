//! Nothing is executed by a right after its revocation, by any process.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use annals::access::GrantAccess;
use annals::commands::{Envelope, ExecuteError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::*;
use crate::support::{app, grant, id_of, is_denied, log_after, open, party, revoke, rights};

annals_test_postgres::both_stores!(
    no_command_has_a_position_after_the_revocation_of_its_right,
    callers_who_repeat_an_id_or_are_refused_take_nothing_from_others_under_the_same_grant,
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

/// How often each account was paid into by decision of a handler.
static DECIDED: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);

/// A payment that counts how often it is decided.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct CountedDeposit {
    #[on(Account)]
    account: AccountId,
}

impl Handle for CountedDeposit {
    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        *DECIDED.lock().unwrap().entry(self.account.text().into_owned()).or_default() += 1;
        Ok(vec![AccountEvent::Deposited { cents: 1 }])
    }
}

/// Guarantee 5: some callers send an id that the log has, or an id twice at once, and others are refused or denied, all the time,
/// under the grant of all. No command of the others is decided twice: no commit that they share nothing but the grant with makes
/// theirs conflict.
async fn callers_who_repeat_an_id_or_are_refused_take_nothing_from_others_under_the_same_grant(place: &Place) {
    let annals = app().command::<CountedDeposit>().open(place.url()).await.unwrap();
    grant(&annals, "bob", &["execute deposit *", "execute close_accounts *", "execute counted_deposit *"]).await;
    let known = Uuid::new_v4();
    annals.execute(deposit("known", 1), &by("bob").command_id(known)).await.unwrap();
    let nuisances = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..8_u64)
        .map(|n| {
            let (annals, nuisances) = (annals.clone(), nuisances.clone());
            tokio::spawn(async move {
                loop {
                    match n % 4 {
                        0 => {
                            let again = annals.execute(deposit("known", 1), &by("bob").command_id(known)).await;
                            assert!(again.unwrap().repeated);
                        }
                        1 => {
                            let twice = by("bob").command_id(Uuid::new_v4());
                            let into = format!("twice{n}");
                            let pay = || annals.execute(deposit(&into, 1), &twice);
                            let (one, other) = tokio::join!(pay(), pay());
                            assert_ne!(one.unwrap().repeated, other.unwrap().repeated);
                        }
                        2 => {
                            let none = CloseAccounts { accounts: vec![account("none")] };
                            let refused = annals.execute(none, &by("bob")).await;
                            assert!(matches!(refused, Err(ExecuteError::Refused(_))), "{refused:?}");
                        }
                        _ => {
                            let denied = annals.execute(OpenAccount { account: account("none") }, &by("bob")).await;
                            assert!(is_denied(&denied), "{denied:?}");
                        }
                    }
                    nuisances.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let run = Uuid::new_v4().simple().to_string();
    let callers = (0..16).map(|caller| {
        let (annals, run) = (annals.clone(), run.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let account = account(&format!("{run}-{caller}"));
                annals.execute(CountedDeposit { account }, &by("bob")).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    for task in tasks {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled(), "a caller that disturbs the others failed");
    }
    let nuisances = nuisances.load(Ordering::SeqCst);
    assert!(nuisances > 200, "only {nuisances} commands disturbed the others");
    let decided: Vec<_> =
        DECIDED.lock().unwrap().iter().filter(|(account, _)| account.starts_with(&run)).map(|(_, n)| *n).collect();
    assert_eq!(decided, [50; 16], "a command of another caller was decided twice, beside {nuisances} others");
    annals.close().await;
}
