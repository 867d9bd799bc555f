//! `execute_all`: many commands in order, without waiting for each.

use annals::commands::{Envelope, ExecuteError};
use annals_test_postgres::Place;
use futures::{StreamExt, stream};
use uuid::Uuid;

use crate::bank::*;

annals_test_postgres::both_stores!(
    commands_are_executed_and_answered_in_input_order,
    a_command_is_decided_on_the_states_after_the_ones_before,
    a_repeated_command_is_answered_with_its_first_receipt,
    an_id_that_occurs_twice_in_a_window_counts_once,
    the_order_is_kept_while_another_writer_interferes,
);

async fn commands_are_executed_and_answered_in_input_order(place: &Place) {
    let annals = open(place).await;
    let commands = (0..2_000_i64).map(|n| Envelope::new(deposit(&(n % 7).to_string(), n + 1), by("alice")));
    let receipts: Vec<_> = annals.execute_all(stream::iter(commands), 64).collect().await;
    for (index, receipt) in receipts.into_iter().enumerate() {
        assert_eq!(receipt.unwrap().first_position, index as u64 + 1);
    }
    let log = log(&annals).await;
    for (index, event) in log.iter().enumerate() {
        assert_eq!(event.payload, format!("{{\"cents\":{}}}", index + 1));
    }
    annals.close().await;
}

/// A command sees the events of the ones before it, before they are durable.
async fn a_command_is_decided_on_the_states_after_the_ones_before(place: &Place) {
    let annals = open(place).await;
    let transfer = |cents| Transfer { from: account("a"), to: account("b"), cents };
    let commands = vec![
        Envelope::new(transfer(1), by("alice")),
        Envelope::new(deposit("a", 10), by("alice")),
        Envelope::new(transfer(6), by("alice")),
        Envelope::new(transfer(6), by("alice")),
        Envelope::new(transfer(4), by("alice")),
    ];
    let results: Vec<_> = annals.execute_all(stream::iter(commands), 8).collect().await;
    let done: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(done, [false, true, true, false, true]);
    assert!(
        matches!(&results[3], Err(ExecuteError::Refused(error)) if error.downcast_ref::<BankError>().is_some())
    );
    annals.close().await;
}

/// Mission X2: a repeated import, also after a crash in the middle, adds nothing twice.
async fn a_repeated_command_is_answered_with_its_first_receipt(place: &Place) {
    let annals = open(place).await;
    let ids: Vec<Uuid> = (0..300).map(|_| Uuid::new_v4()).collect();
    let commands = |count: usize| {
        let envelopes = ids[..count]
            .iter()
            .enumerate()
            .map(|(index, id)| Envelope::new(deposit(&(index % 3).to_string(), 1), by("alice").command_id(*id)));
        stream::iter(envelopes.collect::<Vec<_>>())
    };
    let first: Vec<_> = annals.execute_all(commands(200), 32).map(Result::unwrap).collect().await;
    let second: Vec<_> = annals.execute_all(commands(300), 32).map(Result::unwrap).collect().await;
    for (first, second) in first.iter().zip(&second) {
        assert_eq!((first.head, false, true), (second.head, first.repeated, second.repeated));
    }
    assert!(second[200..].iter().all(|receipt| !receipt.repeated));
    assert_eq!(annals.store().head().await.unwrap().position, 300);
    annals.close().await;
}

/// One id twice in a window, far apart or adjacent: the order of the others is kept.
async fn an_id_that_occurs_twice_in_a_window_counts_once(place: &Place) {
    let annals = open(place).await;
    let id = Uuid::new_v4();
    let twice = || Envelope::new(deposit("a", 1), by("alice").command_id(id));
    let other = |n| Envelope::new(deposit("a", n), by("alice"));
    let commands = vec![twice(), twice(), other(2), other(3), twice(), other(4)];
    let receipts: Vec<_> = annals.execute_all(stream::iter(commands), 8).map(Result::unwrap).collect().await;
    let positions: Vec<_> = receipts.iter().map(|receipt| receipt.first_position).collect();
    assert_eq!(positions, [1, 1, 2, 3, 1, 4]);
    let payloads: Vec<_> = log(&annals).await.into_iter().map(|event| event.payload).collect();
    assert_eq!(payloads, [1, 2, 3, 4].map(|n| format!("{{\"cents\":{n}}}")));
    annals.close().await;
}

/// The order is kept while another process writes to the same aggregates.
async fn the_order_is_kept_while_another_writer_interferes(place: &Place) {
    let url = place.url();
    let (one, two) = (app().open(url).await.unwrap(), app().open(url).await.unwrap());
    let other = tokio::spawn(async move {
        for _ in 0..60 {
            two.execute(deposit("0", 1_000_000), &by("bob")).await.unwrap();
        }
        two.close().await;
    });
    let commands = (0..600_i64).map(|n| Envelope::new(deposit(&(n % 3).to_string(), n + 1), by("alice")));
    let receipts: Vec<_> = one.execute_all(stream::iter(commands), 32).map(Result::unwrap).collect().await;
    other.await.unwrap();
    assert!(receipts.windows(2).all(|pair| pair[0].first_position < pair[1].first_position));
    let mine: Vec<_> = log(&one).await.into_iter().filter(|event| event.metadata.contains("alice")).collect();
    assert!(mine.iter().enumerate().all(|(n, event)| event.payload == format!("{{\"cents\":{}}}", n + 1)));
    assert_eq!(one.store().head().await.unwrap().position, 660);
    one.close().await;
}
