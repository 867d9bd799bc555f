//! A command is executed once, atomically, by an actor.

use annals::commands::{Envelope, ExecuteError, ParseError};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use uuid::Uuid;

use crate::bank::*;

annals_test_postgres::both_stores!(
    a_command_is_one_line_and_its_receipt_has_the_positions_of_its_events,
    a_call_site_is_the_same_for_every_handler,
    a_retried_command_takes_effect_once_and_gets_the_first_receipt,
    a_command_id_with_another_body_or_command_is_refused,
    a_command_id_belongs_to_its_actor,
    one_id_used_by_many_callers_at_once_takes_effect_once,
    a_refusal_is_typed_and_its_id_may_be_used_again,
    a_command_over_several_aggregates_is_appended_whole_or_not_at_all,
    a_command_that_names_one_aggregate_twice_is_refused,
    ids_that_are_too_long_for_an_index_are_refused_before_the_queue,
    a_panic_in_a_handler_is_an_error_only_for_its_caller,
    a_command_after_closing_is_answered_not_executed,
    dropping_the_callers_future_does_not_cancel_a_queued_commit,
    commands_by_name_report_what_is_wrong,
);

/// Mission A1: a change is one line at the call site.
async fn a_command_is_one_line_and_its_receipt_has_the_positions_of_its_events(place: &Place) {
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

/// Mission J3: for a handler on one or several aggregates, one that decides no events, and one that calls a service.
async fn a_call_site_is_the_same_for_every_handler(place: &Place) {
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

/// Mission X2, Guarantees 1 and 2: also if the handler would now refuse, or decided no events.
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

/// Guarantee 2, Mission A10: another actor gets no receipt for the command, nor does the same actor for another principal.
async fn a_command_id_belongs_to_its_actor(place: &Place) {
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
    // Origin and correlation may differ in a retry.
    let again = annals.execute(deposit("a", 5), &alice.correlation("another")).await.unwrap();
    assert_eq!((again.repeated, log(&annals).await.len()), (true, 1));
    annals.close().await;
}

/// Guarantee 2: a second use of an id waits for the first one in flight.
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

/// Invalid input: the same aggregate twice in one command.
async fn a_command_that_names_one_aggregate_twice_is_refused(place: &Place) {
    let annals = open(place).await;
    let error = annals
        .execute(Transfer { from: account("a"), to: account("a"), cents: 0 }, &by("alice"))
        .await
        .unwrap_err();
    assert!(matches!(error, ExecuteError::SameAggregateTwice(_)), "{error}");
    annals.close().await;
}

/// Guarantee 10: ids are checked before the queue.
async fn ids_that_are_too_long_for_an_index_are_refused_before_the_queue(place: &Place) {
    let annals = open(place).await;
    for bad in ["", "a\0b", &"x".repeat(1_025)] {
        let error = annals.execute(deposit(bad, 5), &by("alice")).await.unwrap_err();
        assert!(matches!(error, ExecuteError::Reference(_)), "{error}");
    }
    let long = "x".repeat(1_024);
    annals.execute(deposit(&long, 5), &by("alice")).await.unwrap();
    annals.close().await;
}

/// Guarantee 4: a panic is an error for its caller, and the state for other commands is unchanged.
async fn a_panic_in_a_handler_is_an_error_only_for_its_caller(place: &Place) {
    let annals = open(place).await;
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let error = annals.execute(deposit("a", i64::MIN), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Panicked("deposit")), "{error}");
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    assert_eq!(receipt.head.position, 2);
    annals.close().await;
}

/// Guarantee 4: closing answers commands that were not sent.
async fn a_command_after_closing_is_answered_not_executed(place: &Place) {
    let annals = open(place).await;
    annals.close().await;
    let error = annals.execute(deposit("a", 5), &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::NotExecuted | ExecuteError::Load(_)), "{error}");
}

/// Guarantee 4: the queue owns a commit, not the caller.
async fn dropping_the_callers_future_does_not_cancel_a_queued_commit(place: &Place) {
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

async fn commands_by_name_report_what_is_wrong(place: &Place) {
    let annals = open(place).await;
    let receipt = annals.execute_json("deposit", r#"{"account":"a","cents":5}"#, &by("alice")).unwrap().await;
    assert_eq!(receipt.unwrap().head.position, 1);
    let alice = by("alice");
    let parse = |name: &str, body: &str| match annals.execute_json(name, body, &alice) {
        Ok(_) => panic!("{name} {body} is executed"),
        Err(error) => error,
    };
    assert!(matches!(parse("depose", "{}"), ParseError::Unknown { .. }));
    assert!(matches!(parse("deposit", "{"), ParseError::Body { .. }));
    assert!(matches!(parse("deposit", r#"{"account":"a","cents":"5"}"#), ParseError::Body { .. }));
    let error = parse("deposit", r#"{"account":"a","cents":5,"sents":5}"#);
    assert!(error.to_string().contains("no field `sents`; it has: `account`, `cents`"), "{error}");
    let error = parse("deposit", r#"{"account":"user:a","cents":5}"#);
    assert!(error.to_string().contains("is not a reference to a account"), "{error}");
    annals.close().await;
}
