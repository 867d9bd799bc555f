//! Answers that are lost, wrong or late.

use std::time::Duration;

use tokio::sync::oneshot;

use super::bed::{Bed, reason};
use super::others::has;
use super::proxy::{Proxy, Step};
use crate::nats_servers::NatsServers;
use crate::store::conformance::bench::{assert_in_order, batch, commit, committed, duplicate, log, receipt};
use crate::store::jetstream::hosts::Hosts;
use crate::store::{Outcome, Store, StoreError};

/// A commit is in the log once, and the store works.
async fn assert_once(store: &dyn Store, events: usize) {
    let before = log(store).await;
    assert_eq!(before.len(), events);
    assert_in_order(&before);
    committed(store, commit(1_000).on("tally:last", 0, 1)).await;
    assert_eq!(log(store).await.len(), events + 1);
}

/// Guarantee 45.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_was_lost_is_in_the_log_once() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.next([Step::LoseAnswer]);
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    assert_eq!((proxy.steps_left(), proxy.sent()), (0, 1), "the message in the stream settles it");
    assert_once(&*store, 2).await;
}

/// Guarantee 45.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_never_arrived_is_sent_again_with_the_same_bytes() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.next([Step::LoseMessage]);
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    let contents = proxy.contents();
    assert_eq!(contents.len(), 2);
    assert_eq!(contents[0], contents[1]);
    assert_once(&*store, 2).await;
}

/// Guarantee 45: a proposal that the leader counts and that may die.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_refused_as_too_late_where_nothing_is_stored_is_sent_again() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.next([Step::Phantom, Step::Phantom]);
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    // Too late: the fence refuses them.
    proxy.let_held_arrive().await;
    assert_once(&*store, 2).await;
}

/// Guarantee 45: the proposal does not die after all.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_refused_as_too_late_and_stored_afterwards_is_in_the_log_once() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    let (pause, paused) = oneshot::channel();
    proxy.next([Step::Phantom, Step::Pause(pause)]);
    let appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(batch([commit(1).on("tally:a", 0, 2)])).await }
    });
    let go = paused.await.unwrap();
    proxy.let_held_arrive().await;
    go.send(()).unwrap();
    receipt(appending.await.unwrap().unwrap()[0]);
    assert_once(&*store, 2).await;
}

/// Guarantee 45: the client or the network repeats it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_arrives_twice_is_in_the_log_once() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.next([Step::Twice]);
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    assert_once(&*store, 2).await;
}

/// Guarantee 45: what was not accepted for the whole time is certainly not written, also if it arrives later.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_time_an_empty_batch_closes_the_question() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    proxy.next([Step::Phantom]);
    proxy.refuse_rows(false);
    let appending = tokio::spawn({
        let store = store.clone();
        async move { store.append(batch([commit(1).on("tally:a", 0, 2)])).await }
    });
    while proxy.steps_left() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.refuse_rows(true);
    let said = match appending.await.unwrap() {
        // The second attempt was faster than this test.
        Ok(outcomes) => {
            receipt(outcomes[0]);
            return;
        }
        refused => reason(refused),
    };
    assert!(said.contains("nothing was written") && said.contains("refused by the test"), "{said}");
    proxy.refuse_rows(false);
    proxy.let_held_arrive().await;
    assert_once(&*store, 0).await;
}

/// Guarantee 45: the caller gets an unknown outcome, and the same batch settles it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_outcome_is_unknown_is_found_when_it_is_sent_again() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    let (pause, paused) = oneshot::channel();
    proxy.next([Step::Pause(pause)]);
    let made = batch([commit(1).fresh().on("tally:a", 0, 2)]);
    let appending = tokio::spawn({
        let (store, made) = (store.clone(), made.clone());
        async move { store.append(made).await }
    });
    let go = paused.await.unwrap();
    proxy.be_silent();
    go.send(()).unwrap();
    let unknown = appending.await.unwrap();
    assert!(matches!(unknown, Err(StoreError::OutcomeUnknown(_))), "{unknown:?}");
    proxy.be_silent_on_present_connections();
    // Any other batch first brings the copy up to date.
    let refused = store.append(batch([commit(2).on("tally:a", 0, 1)])).await.unwrap();
    assert_eq!(refused, [Outcome::Conflict]);
    duplicate(store.append(made.resent()).await.unwrap()[0]);
    assert_once(&*store, 2).await;
}

/// Guarantee 45: a server that is stopped keeps its connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_answered_is_replaced_after_one_request() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let store = bed.at(proxy.port, "a").await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    assert_eq!(proxy.connections(), 1);
    proxy.be_silent_on_present_connections();
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    assert_eq!(proxy.connections(), 2);
    assert_once(&*store, 2).await;
}

/// Guarantee 45: any server that has the stream may get a read, also one that is frozen.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_no_server_answers_is_sent_again_on_the_same_connection() {
    let Some(bed) = Bed::new() else { return };
    let proxy = Proxy::before(bed.server.port).await;
    let (store, other) = (bed.at(proxy.port, "a").await.unwrap(), bed.store("b").await);
    proxy.lose_reads(2);
    while proxy.reads_left_to_lose() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    committed(&*other, commit(1).on("tally:a", 0, 1)).await;
    has(&*store, 1).await;
    assert_eq!(proxy.connections(), 1);
}

/// Guarantee 45: a server that is frozen accepts connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_accepts_a_connection_and_says_nothing_is_tried_last_from_then_on() {
    let Some(bed) = Bed::new() else { return };
    let frozen = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    frozen.set_nonblocking(true).unwrap();
    let urls =
        [frozen.local_addr().unwrap().port(), bed.server.port].map(|port| format!("nats://127.0.0.1:{port}"));
    let mut hosts = Hosts::new(NatsServers::of(urls.iter().map(String::as_str)));
    for _ in 0..12 {
        hosts.connect(&async_nats::ConnectOptions::new()).await.unwrap();
    }
    let tried = std::iter::from_fn(|| frozen.accept().ok()).count();
    assert!(tried <= 1, "it was tried {tried} times");
}

/// Guarantee 45: nothing waits without an end.
#[tokio::test(flavor = "multi_thread")]
async fn while_no_server_answers_the_store_is_not_ready_and_says_so() {
    let Some(mut bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    store.ready().await.unwrap();
    bed.server.kill();
    while store.ready().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = reason(store.append(batch([commit(2).on("tally:a", 1, 1)])).await);
    assert!(refused.contains("cannot be reached"), "{refused}");
    let unready = reason(store.ready().await);
    assert!(unready.contains("the stream was last read"), "{unready}");
    assert_eq!(log(&*store).await.len(), 1, "reading needs no server");
    bed.server.restart();
    committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    store.ready().await.unwrap();
}
