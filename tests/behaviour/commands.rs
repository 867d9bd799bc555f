//! One command: once, atomically, by somebody.

use annals::commands::{Envelope, ExecuteError, ParseError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use uuid::Uuid;

use crate::bank::*;

annals_test_postgres::both_stores!(
    a_command_is_one_line_and_its_receipt_says_where_its_events_lie,
    a_call_site_is_the_same_whatever_the_handler_does,
    a_retried_command_takes_effect_once_and_gets_the_first_receipt,
    a_command_id_with_another_body_or_command_is_refused,
    a_command_id_is_bound_to_who_gave_it,
    one_id_used_by_many_callers_at_once_takes_effect_once,
    a_refusal_is_typed_and_its_id_may_be_used_again,
    a_command_over_several_aggregates_is_appended_whole_or_not_at_all,
    one_aggregate_twice_in_one_command_is_refused,
    ids_that_no_index_takes_are_refused_before_anything_is_queued,
    a_panic_in_a_handler_is_an_error_for_its_caller_alone,
    a_command_after_closing_is_answered_not_executed,
    dropping_the_callers_future_cancels_nothing_that_was_queued,
    commands_by_name_say_what_is_wrong_with_them,
);

/// Mission A1: a change is one line at the call site.
async fn a_command_is_one_line_and_its_receipt_says_where_its_events_lie(place: &Place) {
    let annals = open(place).await;
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!((receipt.first_position, receipt.events, receipt.head.position), (1, 1, 1));
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!((receipt.first_position, receipt.repeated), (2, false));
    let log = log(&annals).await;
    assert_eq!(log[1].metadata().unwrap().actor.as_str(), "user:alice");
    assert_eq!((log[1].sequence, log[1].head()), (2, receipt.head));
    annals.close().await;
}

/// Mission J3: whether the handler decides on one aggregate or several, does nothing, or asks a service first.
async fn a_call_site_is_the_same_whatever_the_handler_does(place: &Place) {
    async fn call<C: Command + Handle>(annals: &Annals, command: C) -> u64 {
        annals.execute(command, &by("alice")).await.unwrap().events
    }
    let annals = open(place).await;
    assert_eq!(call(&annals, deposit("a", 0)).await, 0);
    assert_eq!(call(&annals, deposit("a", 5)).await, 1);
    assert_eq!(call(&annals, DepositQuoted { account: account("a"), quoted: 0 }).await, 1);
    assert_eq!(call(&annals, Transfer { from: account("a"), to: account("b"), cents: 47 }).await, 2);
    annals.close().await;
}

/// Mission X2, guarantees 1 and 2: also where the handler would now refuse, and where it decided to do nothing.
async fn a_retried_command_takes_effect_once_and_gets_the_first_receipt(place: &Place) {
    let annals = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    let first = annals.execute(OpenAccount { account: account("a") }, &context).await.unwrap();
    let again = annals.execute(OpenAccount { account: account("a") }, &context).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });

    let nothing = by("alice").command_id(Uuid::new_v4());
    let first = annals.execute(deposit("a", 0), &nothing).await.unwrap();
    annals.execute(deposit("a", 7), &by("bob")).await.unwrap();
    let again = annals.execute(deposit("a", 0), &nothing).await.unwrap();
    assert_eq!(again, Receipt { repeated: true, ..first });
    assert_eq!(log(&annals).await.len(), 2);
    annals.close().await;
}

/// Guarantee 2.
async fn a_command_id_with_another_body_or_command_is_refused(place: &Place) {
    let annals = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    annals.execute(deposit("a", 5), &context).await.unwrap();
    let error = annals.execute(deposit("a", 6), &context).await.unwrap_err();
    assert!(matches!(error, ExecuteError::CommandIdReused(_)), "{error}");
    let error = annals.execute(OpenAccount { account: account("a") }, &context).await.unwrap_err();
    assert!(matches!(error, ExecuteError::CommandIdReused(_)), "{error}");
    assert_eq!(log(&annals).await.len(), 1);
    annals.close().await;
}

/// Guarantee 2, A10: who did not give a command gets no receipt for it as if he had; nor does who gives it for another.
async fn a_command_id_is_bound_to_who_gave_it(place: &Place) {
    let annals = open(place).await;
    let id = Uuid::new_v4();
    let alice = by("alice").command_id(id);
    let first = annals.execute(deposit("a", 5), &alice).await.unwrap();
    let for_carol = alice.clone().on_behalf_of(Ref::new("user", "carol").unwrap());
    for other in [by("bob").command_id(id), for_carol] {
        let error = annals.execute(deposit("a", 5), &other).await.unwrap_err();
        assert!(matches!(error, ExecuteError::CommandIdReused(reused) if reused == id), "{error}");
        let many = [Envelope::new(deposit("a", 5), other), Envelope::new(deposit("a", 5), alice.clone())];
        let many: Vec<_> = annals.execute_all(futures::stream::iter(many), 2).collect().await;
        let [Err(ExecuteError::CommandIdReused(_)), Ok(again)] = &many[..] else { panic!("{many:?}") };
        assert_eq!(*again, Receipt { repeated: true, ..first });
    }
    // Where the request comes from, and what it belongs to, may be another when it is repeated.
    let again = annals.execute(deposit("a", 5), &alice.correlation("another")).await.unwrap();
    assert_eq!((again.repeated, log(&annals).await.len()), (true, 1));
    annals.close().await;
}

/// Guarantee 2: a second use of an id that is in flight waits for the first.
async fn one_id_used_by_many_callers_at_once_takes_effect_once(place: &Place) {
    let annals = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    let calls = (0..32).map(|_| {
        let (annals, context) = (annals.clone(), context.clone());
        tokio::spawn(async move { annals.execute(deposit("a", 5), &context).await })
    });
    let mut first = 0;
    for call in calls.collect::<Vec<_>>() {
        let receipt = call.await.unwrap().unwrap();
        assert_eq!(receipt.first_position, 1);
        first += usize::from(!receipt.repeated);
    }
    assert_eq!((first, log(&annals).await.len()), (1, 1));
    annals.close().await;
}

/// Guarantee 2: a refusal leaves no trace of its id.
async fn a_refusal_is_typed_and_its_id_may_be_used_again(place: &Place) {
    let annals = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    let transfer = Transfer { from: account("a"), to: account("b"), cents: 5 };
    let error = annals.execute(transfer.clone(), &context).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let receipt = annals.execute(transfer, &context).await.unwrap();
    assert_eq!((receipt.events, receipt.repeated), (2, false));
    annals.close().await;
}

/// Mission X13: one command, two aggregates, one commit.
async fn a_command_over_several_aggregates_is_appended_whole_or_not_at_all(place: &Place) {
    let annals = open(place).await;
    for name in ["a", "b", "c"] {
        annals.execute(OpenAccount { account: account(name) }, &by("alice")).await.unwrap();
    }
    let close = |names: &[&str]| CloseAccounts { accounts: names.iter().map(|name| account(name)).collect() };
    let error = annals.execute(close(&["a", "b", "nobody"]), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(BankError::NotOpen(_))), "{error}");
    assert_eq!(log(&annals).await.len(), 3);
    let receipt = annals.execute(close(&["a", "b", "c"]), &by("alice")).await.unwrap();
    assert_eq!((receipt.first_position, receipt.events, receipt.head.position), (4, 3, 6));
    annals.close().await;
}

/// Bad input: the same aggregate twice in one command.
async fn one_aggregate_twice_in_one_command_is_refused(place: &Place) {
    let annals = open(place).await;
    let error = annals
        .execute(Transfer { from: account("a"), to: account("a"), cents: 0 }, &by("alice"))
        .await
        .unwrap_err();
    assert!(matches!(error, ExecuteError::SameAggregateTwice(_)), "{error}");
    annals.close().await;
}

/// Guarantee 10: ids are checked before the queue.
async fn ids_that_no_index_takes_are_refused_before_anything_is_queued(place: &Place) {
    let annals = open(place).await;
    for bad in ["", "a\0b", &"x".repeat(1_025)] {
        let error = annals.execute(deposit(bad, 5), &by("alice")).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Reference(_)), "{error}");
    }
    let long = "x".repeat(1_024);
    annals.execute(deposit(&long, 5), &by("alice")).await.unwrap();
    annals.close().await;
}

/// Guarantee 4: a panic answers its caller, and the state that others decide on stays as it was.
async fn a_panic_in_a_handler_is_an_error_for_its_caller_alone(place: &Place) {
    let annals = open(place).await;
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let error = annals.execute(deposit("a", i64::MIN), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Panicked("deposit")), "{error}");
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!(receipt.head.position, 2);
    annals.close().await;
}

/// Guarantee 4: shutdown answers what was not sent.
async fn a_command_after_closing_is_answered_not_executed(place: &Place) {
    let annals = open(place).await;
    annals.close().await;
    let error = annals.execute(deposit("a", 5), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::NotExecuted | ExecuteError::Load(_)), "{error}");
}

/// Guarantee 4: the queue owns a commit, not its caller.
async fn dropping_the_callers_future_cancels_nothing_that_was_queued(place: &Place) {
    let annals = open(place).await;
    let context = by("alice").command_id(Uuid::new_v4());
    for _ in 0..50 {
        let call = annals.execute(deposit("a", 5), &context);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(50), call).await;
    }
    let receipt = annals.execute(deposit("a", 5), &context).await.unwrap();
    assert_eq!((receipt.first_position, log(&annals).await.len()), (1, 1));
    annals.close().await;
}

async fn commands_by_name_say_what_is_wrong_with_them(place: &Place) {
    let annals = open(place).await;
    let receipt = annals.execute_json("deposit", r#"{"account":"a","cents":5}"#, &by("alice")).await.unwrap();
    assert_eq!(receipt.unwrap().head.position, 1);
    let parse = async |name: &str, body: &str| annals.execute_json(name, body, &by("alice")).await.unwrap_err();
    assert!(matches!(parse("depose", "{}").await, ParseError::Unknown { .. }));
    assert!(matches!(parse("deposit", "{").await, ParseError::Body { .. }));
    assert!(matches!(parse("deposit", r#"{"account":"a","cents":"5"}"#).await, ParseError::Body { .. }));
    let error = parse("deposit", r#"{"account":"a","cents":5,"sents":5}"#).await;
    assert!(error.to_string().contains("no field `sents`; it has: account, cents"), "{error}");
    let error = parse("deposit", r#"{"account":"user:a","cents":5}"#).await;
    assert!(error.to_string().contains("no reference to a account"), "{error}");
    annals.close().await;
}
