//! Two processes, one hot aggregate.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals_test_postgres::Place;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::*;
use crate::processes::{PATIENCE, Process};
use crate::promises::{Answers, assert_kept};
use crate::rounds;

annals_test_postgres::both_stores!(
    a_refusal_on_an_outdated_state_is_decided_again,
    a_commit_that_depends_on_a_failed_one_never_matches_by_chance,
    a_command_that_always_conflicts_succeeds_under_the_write_lock,
    one_id_used_by_two_processes_at_once_takes_effect_once,
);

/// Guarantee 1: a refusal is an answer of the log, not of a cache; so is a command on an outdated state.
async fn a_refusal_on_an_outdated_state_is_decided_again(place: &Place) {
    let here = open(place).await;
    let mut there = Process::server(place.url());
    assert!(there.ask("deposit a 10").starts_with("ok"));
    here.execute(deposit("a", 100), &by("alice")).await.unwrap();
    assert!(there.ask("transfer a b 50").starts_with("ok"), "its cache had only 10");
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 60 };
    here.execute(transfer, &by("alice")).await.unwrap();
    assert!(there.ask("transfer a b 50").starts_with("refused"), "its cache had 60");
    assert_kept(&here, &Answers::default()).await;
    here.close().await;
}

/// Guarantee 5: the second of two commits in flight matches the log by its sequence after the first one has failed. The
/// lock is held until another process waits for it, with the first commit behind it and the second in the queue.
async fn a_commit_that_depends_on_a_failed_one_never_matches_by_chance(place: &Place) {
    let (here, holder) = (open(place).await, open(place).await);
    let mut there = Process::server(place.url());
    for _ in 0..rounds(3) {
        // The balance is 100 now, in both caches.
        let before = log(&here).await;
        let left = crate::promises::fold(&before).get("hot").map_or(0, |balance| balance.cents);
        here.execute(deposit("hot", 100 - left), &by("alice")).await.unwrap();
        assert!(there.ask("transfer hot elsewhere 1").starts_with("ok"));
        here.execute(deposit("hot", 1), &by("alice")).await.unwrap();
        assert!(there.ask("transfer hot elsewhere 1000").starts_with("refused"));

        let lock = holder.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
        there.tell("transfer hot elsewhere 60");
        tokio::time::sleep(Duration::from_millis(400)).await;
        let caller = here.clone();
        let first = tokio::spawn(async move { caller.execute(deposit("hot", 50), &by("alice")).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let caller = here.clone();
        // To an account that no other command uses: only the hot one shows that the decision was outdated.
        let transfer = Transfer { from: account("hot"), to: account("aside"), cents: 120 };
        let second = tokio::spawn(async move { caller.execute(transfer, &by("alice")).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(lock);

        assert!(there.next_line().starts_with("ok"));
        first.await.unwrap().unwrap();
        let error = second.await.unwrap().expect_err("there never were 120 to send");
        assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
        let log = log(&here).await;
        let ends: Vec<_> = log[log.len() - 3..].iter().map(|event| event.event_type.as_str()).collect();
        assert_eq!(ends, ["account.sent", "account.received", "account.deposited"], "the race did not happen");
    }
    assert_kept(&here, &Answers::default()).await;
    holder.close().await;
    here.close().await;
}

/// A process that writes to an account during each decision on it.
static RIVALS: LazyLock<Mutex<HashMap<AccountId, Rival>>> = LazyLock::new(Mutex::default);

struct Rival {
    process: Process,
    decisions: u32,
    shut_out: u32,
}

/// A payment of one cent, during which a rival always pays in too.
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Contested {
    #[on(Account)]
    account: AccountId,
}

impl Handle for Contested {
    fn handle(&self, _: &Loaded<Account>, _: &Context) -> Result<Vec<AccountEvent>, BankError> {
        let mut rivals = RIVALS.lock().unwrap();
        let rival = rivals.get_mut(&self.account).unwrap();
        rival.decisions += 1;
        rival.process.tell(&format!("deposit {} 1", self.account.text()));
        // Under the write lock the rival waits.
        match rival.process.line_within(Duration::from_secs(2)) {
            Some(answer) => assert!(answer.starts_with("ok"), "{answer}"),
            None => rival.shut_out += 1,
        }
        Ok(vec![AccountEvent::Deposited { cents: 1 }])
    }
}

/// Guarantee 6: the last attempt is decided under the write lock.
async fn a_command_that_always_conflicts_succeeds_under_the_write_lock(place: &Place) {
    let annals = app().command::<Contested>().open(place.url()).await.unwrap();
    let contested = account(&Uuid::new_v4().simple().to_string());
    let rival = Rival { process: Process::server(place.url()), decisions: 0, shut_out: 0 };
    RIVALS.lock().unwrap().insert(contested.clone(), rival);
    annals.execute(Contested { account: contested.clone() }, &by("alice")).await.unwrap();
    let rival = RIVALS.lock().unwrap().remove(&contested).unwrap();
    assert_eq!(rival.shut_out, 1, "the last attempt held the write lock");
    assert!(rival.decisions > 2, "earlier attempts had conflicts");
    assert!(rival.process.next_line().starts_with("ok"), "the rival succeeds afterwards");
    let log = assert_kept(&annals, &Answers::default()).await;
    assert_eq!(log.len() as u32, rival.decisions + 1);
    annals.close().await;
}

/// Guarantee 2, with two processes.
async fn one_id_used_by_two_processes_at_once_takes_effect_once(place: &Place) {
    let here = open(place).await;
    let mut there = Process::server(place.url());
    for _ in 0..4 * rounds(5) {
        let id = Uuid::new_v4();
        there.tell(&format!("deposit a 5 {id}"));
        let receipt = here.execute(deposit("a", 5), &by("server").command_id(id)).await.unwrap();
        let answer = there.next_line();
        let words: Vec<&str> = answer.split(' ').collect();
        assert_eq!((words[0], words[1]), ("ok", receipt.first_position.to_string().as_str()));
        assert_ne!(words[4], receipt.repeated.to_string(), "one of them was the first");
    }
    let log = assert_kept(&here, &Answers::default()).await;
    assert_eq!(log.len() as u64, 4 * rounds(5));
    here.close().await;
}
