//! Lost answers, errors after them, and a writer that panics: every answer is true, and no state that never existed
//! stays in the cache. The same on every store: a wrapper around the store injects the faults.

use std::sync::Arc;
use std::time::Duration;

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals::store::StoreError;
use annals_test_postgres::Place;
use uuid::Uuid;

use crate::bank::*;
use crate::processes::PATIENCE;
use crate::promises::{Answers, assert_kept, fold};
use crate::unreliable::{Fault, Unreliable};
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    a_known_id_whose_answer_is_lost_stays_a_duplicate_and_fails_dependent_commits,
    a_refused_retry_of_an_executed_id_gets_its_receipt_even_after_a_lost_answer,
    after_a_lost_answer_only_an_answer_about_the_batch_settles_it,
    after_a_lost_answer_no_error_means_not_executed,
    a_log_replaced_after_a_lost_answer_is_not_written_by_chance,
    the_halves_of_a_batch_whose_answer_was_lost_are_looked_up,
    answers_agree_with_the_log_whatever_is_lost,
    a_writer_that_panics_is_started_again_and_its_callers_get_an_unknown_outcome,
    a_command_is_answered_after_the_end_of_its_runtime,
    a_decision_and_its_record_succeed_or_fail_together,
);

async fn open_on(place: &Place) -> (Annals, Arc<Unreliable>) {
    let store = Unreliable::open(place.url()).await;
    (app().open_on(store.clone()).await.unwrap(), store)
}

fn database(text: &str) -> StoreError {
    StoreError::Database { doing: "connecting", source: text.into() }
}

fn unusable() -> StoreError {
    StoreError::Unusable { store: "here".to_owned(), reason: "the server cannot be reached".to_owned() }
}

/// Guarantee 5: another process has used the id before; here its answer is lost, and this is not its first use.
async fn a_known_id_whose_answer_is_lost_stays_a_duplicate_and_fails_dependent_commits(place: &Place) {
    let (here, store) = open_on(place).await;
    let there = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    there.execute(deposit("a", 50), &context).await.unwrap();
    here.execute(deposit("a", 100), &by("alice")).await.unwrap();
    // The cache has 150 at sequence 2.
    store.blind(true);
    store.next([Fault::LoseCall]);
    let receipt = here.execute(deposit("a", 50), &context).await.unwrap();
    assert!(store.is_done() && receipt.repeated, "it took effect before: {receipt:?}");
    // A second effect would be 200 at sequence 3. Another process brings the log to sequence 3, with 151.
    there.execute(deposit("a", 1), &by("bob")).await.unwrap();
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 180 };
    let error = here.execute(transfer, &by("alice")).await.expect_err("there never were 180");
    assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error:?}");
    assert_kept(&here, &Answers::default()).await;
    there.close().await;
    here.close().await;
}

/// Guarantee 1: the handler would refuse an executed command; its id tells.
async fn a_refused_retry_of_an_executed_id_gets_its_receipt_even_after_a_lost_answer(place: &Place) {
    let (here, store) = open_on(place).await;
    here.execute(deposit("a", 100), &by("alice")).await.unwrap();
    let transfer = || Transfer { from: account("a"), to: account("b"), cents: 100 };
    let context = by("alice").command_id(Uuid::new_v4());
    let first = here.execute(transfer(), &context).await.unwrap();
    store.blind(true);
    store.next([Fault::LoseAnswer]);
    let again = here.execute(transfer(), &context).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    here.close().await;
}

/// Guarantee 3: an error of another connection does not settle a lost answer.
async fn after_a_lost_answer_only_an_answer_about_the_batch_settles_it(place: &Place) {
    let (here, store) = open_on(place).await;
    for first in [Fault::LoseAnswer, Fault::LoseCall] {
        let before = here.store().head().await.unwrap().position;
        let busy = StoreError::Busy(PATIENCE);
        store.next([first, Fault::Fail(database("FATAL: 08P01")), Fault::Fail(unusable()), Fault::Fail(busy)]);
        let receipt = here.execute(deposit("a", 1), &by("alice")).await.unwrap();
        assert!(store.is_done());
        assert_eq!((receipt.first_position, receipt.events, receipt.repeated), (before + 1, 1, false));
        assert_eq!(here.store().head().await.unwrap().position, before + 1, "one effect");
    }
    here.close().await;
}

/// Guarantee 3: the batch was committed, its answer was lost, and the store never answers again.
async fn after_a_lost_answer_no_error_means_not_executed(place: &Place) {
    let (here, store) = open_on(place).await;
    let kinds: [fn() -> StoreError; 4] =
        [|| database("FATAL: 57P03"), unusable, || StoreError::Busy(PATIENCE), || StoreError::Closed];
    for (kind, cents) in kinds.into_iter().zip(1..) {
        let context = by("alice").command_id(Uuid::new_v4());
        store.next([Fault::LoseAnswer]);
        store.next((0..8).map(|_| Fault::Fail(kind())));
        let error = here.execute(deposit("a", cents), &context).await.unwrap_err();
        assert!(matches!(error, ExecuteError::OutcomeUnknown { .. }), "{}: {error:?}", kind());
        store.recover();
        let again = here.execute(deposit("a", cents), &context).await.unwrap();
        assert_eq!((again.first_position, again.repeated), (cents as u64, true));
    }
    here.close().await;
}

/// Guarantees 3 and 16: sequences may match by chance on another history.
async fn a_log_replaced_after_a_lost_answer_is_not_written_by_chance(place: &Place) {
    let (here, store) = open_on(place).await;
    let head = here.execute(deposit("a", 1), &by("alice")).await.unwrap().head;
    store.next([Fault::LoseCall, Fault::Fail(StoreError::Diverged(head))]);
    let error = here.execute(deposit("a", 2), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(here.store().head().await.unwrap(), head);
    here.execute(deposit("a", 2), &by("alice")).await.unwrap();
    here.close().await;
}

/// Guarantees 3 and 10: a batch that is bisected after a lost answer may be in the log already.
async fn the_halves_of_a_batch_whose_answer_was_lost_are_looked_up(place: &Place) {
    let (here, store) = open_on(place).await;
    let rejected = || StoreError::Rejected { doing: "appending", source: "one of them".into() };
    let holder = open(place).await;
    let lock = holder.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
    // The first command waits for the lock; the others become one batch behind it.
    store.next([Fault::Nothing, Fault::LoseAnswer, Fault::Fail(rejected())]);
    let mut deposits = Vec::new();
    for n in 0..9 {
        let here = here.clone();
        deposits.push(tokio::spawn(async move { here.execute(deposit(&n.to_string(), 1), &by("alice")).await }));
        tokio::time::sleep(Duration::from_millis(if n == 0 { 300 } else { 20 })).await;
    }
    drop(lock);
    for deposit in deposits {
        let receipt = deposit.await.unwrap().unwrap();
        assert_eq!((receipt.events, receipt.repeated), (1, false));
    }
    assert!(store.is_done());
    assert_eq!(assert_kept(&here, &Answers::default()).await.len(), 9, "one effect each");
    holder.close().await;
    here.close().await;
}

/// Missions X2 and A11: at random, from two handles, with repeated ids.
async fn answers_agree_with_the_log_whatever_is_lost(place: &Place) {
    let (here, store) = open_on(place).await;
    let there = open(place).await;
    for name in ["a", "b", "c"] {
        there.execute(deposit(name, 1_000), &by("bank")).await.unwrap();
    }
    store.blind(true);
    let mut used: Vec<(Uuid, Transfer)> = Vec::new();
    for round in 0..20 * rounds(5) {
        let name = |n: u64| account(["a", "b", "c"][n as usize % 3]);
        let from = random(3);
        let fresh = Transfer { from: name(from), to: name(from + 1 + random(2)), cents: random(400) as i64 + 1 };
        let (id, transfer) = match used.is_empty() || random(3) > 0 {
            true => (Uuid::new_v4(), fresh),
            false => used[random(used.len() as u64) as usize].clone(),
        };
        used.push((id, transfer.clone()));
        let mut faults = Vec::new();
        for _ in 0..random(3) {
            faults.push(match random(4) {
                0 => Fault::LoseAnswer,
                1 => Fault::LoseCall,
                2 if !faults.is_empty() => Fault::Fail(database("XX000")),
                _ => Fault::LoseCall,
            });
        }
        store.next(faults);
        if random(3) == 0 {
            there.execute(deposit(["a", "b", "c"][random(3) as usize], 1), &by("bank")).await.unwrap();
        }
        let before = there.store().find_commands(&[id]).await.unwrap().remove(0);
        let answered = here.execute(transfer, &by("alice").command_id(id)).await;
        let known = there.store().find_commands(&[id]).await.unwrap().remove(0);
        match (answered, known) {
            (Ok(receipt), Some(known)) => {
                assert_eq!(Receipt { repeated: true, ..receipt }, known.receipt, "round {round}");
                assert!(before.is_none() || receipt.repeated, "round {round}: the id was used before");
            }
            (Err(ExecuteError::Refused(_)), None) => {}
            (answered, known) => panic!("round {round}: the answer is {answered:?}, and the log has {known:?}"),
        }
        assert!(store.is_done(), "round {round}: a lost batch was not repeated");
        // The cache agrees with the log: the whole balance can be transferred, and not a cent more.
        let held = fold(&log(&there).await);
        let cents = held[name(from).text().as_ref()].cents;
        let all = Transfer { from: name(from), to: account("aside"), cents: cents + 1 };
        let error = here.execute(all, &by("alice")).await.expect_err("one more than there is");
        assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "round {round}: {error:?}");
    }
    assert_kept(&here, &Answers::default()).await;
    there.close().await;
    here.close().await;
}

/// Guarantee 4: all commits depend on the one writer task.
async fn a_writer_that_panics_is_started_again_and_its_callers_get_an_unknown_outcome(place: &Place) {
    let (here, store) = open_on(place).await;
    here.execute(deposit("a", 1), &by("alice")).await.unwrap();
    for _ in 0..3 {
        store.next([Fault::Panic]);
        let context = by("alice").command_id(Uuid::new_v4());
        let answered = tokio::time::timeout(PATIENCE, here.execute(deposit("a", 1), &context)).await;
        let error = answered.expect("an answer").unwrap_err();
        assert!(matches!(error, ExecuteError::OutcomeUnknown { .. }), "{error:?}");
        let again = tokio::time::timeout(PATIENCE, here.execute(deposit("a", 1), &context)).await;
        assert!(!again.expect("a writer").unwrap().repeated);
    }
    assert_eq!(assert_kept(&here, &Answers::default()).await.len(), 4);
    here.close().await;
}

/// Guarantee 4: a queue without a writer task answers.
async fn a_command_is_answered_after_the_end_of_its_runtime(place: &Place) {
    let url = place.url().to_owned();
    let opened = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let annals = app().open(&url).await.unwrap();
            annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
            annals
        })
        // The runtime ends here, with all its tasks.
    });
    let annals = tokio::task::block_in_place(|| opened.join().unwrap());
    let answered = tokio::time::timeout(PATIENCE, annals.execute(deposit("a", 1), &by("alice"))).await;
    let error = answered.expect("an answer").unwrap_err();
    assert!(matches!(error, ExecuteError::NotExecuted), "{error:?}");
}

/// Mission J10: the record fails, or the decision fails.
async fn a_decision_and_its_record_succeed_or_fail_together(place: &Place) {
    let (here, store) = open_on(place).await;
    let head = here.execute(deposit("a", 10), &by("alice")).await.unwrap().head;
    let transfer = || Transfer { from: account("a"), to: account("b"), cents: 11 };
    let unchanged = async || {
        assert_eq!(here.store().head().await.unwrap(), head);
        let balance = here.view::<Balance>(&account("a")).after(head).await.unwrap();
        assert_eq!(balance, Some(Balance { cents: 10, events: 1 }));
        let error = here.execute(transfer(), &by("alice")).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error:?}");
        assert_eq!(here.store().head().await.unwrap(), head, "a refusal is not recorded here");
    };
    store.next([Fault::Fail(unusable())]);
    let error = here.execute(deposit("a", 5), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Store(_)), "{error:?}");
    unchanged().await;
    let error = here.execute(deposit("a", i64::MIN), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Panicked(_)), "{error:?}");
    unchanged().await;
    let head = here.execute(deposit("a", 5), &by("alice")).await.unwrap().head;
    let balance = here.view::<Balance>(&account("a")).after(head).await.unwrap();
    assert_eq!(balance, Some(Balance { cents: 15, events: 2 }));
    here.close().await;
}
