//! Lost answers and cut connections, at any moment of a write.

use std::time::Duration;

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals_test_postgres::{Fresh, Place};
use uuid::Uuid;

use crate::bank::*;
use crate::processes::{PATIENCE, Process};
use crate::promises::{Answers, assert_kept};
use crate::proxy::{Proxy, Way};
use crate::{random, rounds};

/// A store, and a program that uses it through a connection that can be cut.
struct Line {
    place: Place,
    proxy: Proxy,
    /// Uses the store directly.
    direct: Annals,
    /// Uses the store through the proxy.
    annals: Annals,
}

impl Line {
    async fn new() -> Self {
        let place = Place::postgres();
        let proxy = Proxy::before(place.url());
        let direct = open(&place).await;
        let annals = app().open(&proxy.url(place.url())).await.unwrap();
        annals.execute(deposit("a", 1_000), &by("alice")).await.unwrap();
        Self { place, proxy, direct, annals }
    }

    fn schema(&self) -> &Fresh {
        self.place.schema().unwrap()
    }

    /// Waits until a command is in the store.
    async fn known(&self, id: Uuid) {
        wait_for("the commit", async || self.direct.store().find_commands(&[id]).await.unwrap()[0].is_some()).await;
    }

    /// Returns a condition on `pg_stat_activity` for this store's backends that wait for a lock.
    fn waiting(&self) -> String {
        format!("wait_event_type = 'Lock' AND query LIKE '%{}%' AND pid <> pg_backend_pid()", self.schema().name())
    }

    async fn wait_for_a_backend_at_the_lock(&self) {
        let count = format!("SELECT count(*) FROM pg_stat_activity WHERE {}", self.waiting());
        wait_for("a backend at the lock", async || self.schema().sql(&count) != "0").await;
    }

    async fn end(self) {
        let Self { place, proxy, direct, annals } = self;
        assert_kept(&direct, &Answers::default()).await;
        annals.close().await;
        direct.close().await;
        drop((proxy, place));
    }
}

/// Waits until a condition is true.
pub async fn wait_for(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "timed out waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Missions X2 and A11, Guarantee 3: before the call, during it, and during its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_byte_of_a_write_leaves_one_effect_and_the_right_answer() {
    let line = Line::new().await;
    for round in 0..8 * rounds(5) {
        let (way, most) = if round % 2 == 0 { (Way::Up, 2_000) } else { (Way::Down, 400) };
        let bytes = if round < 4 { 0 } else { random(most) };
        let (cuts, before) = (line.proxy.cuts(), line.direct.store().head().await.unwrap().position);
        line.proxy.cut_after(way, bytes);
        // Until the cut: a write may end before this many bytes have passed.
        while line.proxy.cuts() == cuts {
            let context = by("alice").command_id(Uuid::new_v4());
            let receipt = line.annals.execute(deposit("a", 1), &context).await;
            let receipt = receipt.unwrap_or_else(|error| panic!("{way:?} {bytes}: {error}: {error:?}"));
            assert!(receipt.events == 1 && receipt.first_position > before);
            let again = line.annals.execute(deposit("a", 1), &context).await.unwrap();
            assert_eq!(again, Receipt { repeated: true, ..receipt });
        }
    }
    line.end().await;
}

/// Missions X2 and A11, Guarantee 48: the answer to a repeated command is looked up, and confirmed; both change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_cut_at_any_byte_of_a_repeated_command_changes_no_answer() {
    let line = Line::new().await;
    let context = by("alice").command_id(Uuid::new_v4());
    let receipt = line.annals.execute(deposit("a", 1), &context).await.unwrap();
    for way in [Way::Up, Way::Down] {
        // Each answer is some hundred bytes long: the next cut is in the next answer.
        for bytes in (0..600).step_by(11) {
            let cuts = line.proxy.cuts();
            line.proxy.cut_after(way, bytes);
            while line.proxy.cuts() == cuts {
                let again = line.annals.execute(deposit("a", 1), &context).await;
                let again = again.unwrap_or_else(|error| panic!("{way:?} {bytes}: {error}: {error:?}"));
                assert_eq!(again, Receipt { repeated: true, ..receipt });
            }
        }
    }
    line.end().await;
}

/// Mission X2: committed, and the answer is lost; with events and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_lost_after_the_commit_is_found_by_its_id() {
    let line = Line::new().await;
    for cents in [7, 0, 7] {
        let id = Uuid::new_v4();
        let lock = line.direct.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
        let caller = line.annals.clone();
        let call =
            tokio::spawn(async move { caller.execute(deposit("a", cents), &by("alice").command_id(id)).await });
        line.wait_for_a_backend_at_the_lock().await;
        line.proxy.hold(Way::Down);
        drop(lock);
        line.known(id).await;
        let head = line.direct.store().head().await.unwrap();
        line.proxy.cut();
        let receipt = call.await.unwrap().unwrap();
        assert_eq!(
            (receipt.head, receipt.repeated),
            (head, true),
            "nobody can tell whether another one had used the id"
        );
        assert_eq!(line.direct.store().head().await.unwrap(), head, "it had one effect");
    }
    line.end().await;
}

/// Guarantees 1 and 2: the process whose answer was lost is killed, and another one retries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_killed_process_gets_the_receipt_even_if_it_would_now_be_refused() {
    let line = Line::new().await;
    let mut first = Process::server(&line.proxy.url(line.place.url()));
    assert!(first.ask("transfer a b 1").starts_with("ok"), "both aggregates are cached");
    let id = Uuid::new_v4();
    let transfer = format!("transfer a b 999 {id}");
    let lock = line.direct.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
    first.tell(&transfer);
    line.wait_for_a_backend_at_the_lock().await;
    line.proxy.hold(Way::Down);
    drop(lock);
    line.known(id).await;
    assert_eq!(first.kill(), [""; 0], "it never got the answer");
    line.proxy.cut();

    let mut second = Process::server(line.place.url());
    assert!(second.ask("transfer a b 1").starts_with("refused"), "the account is empty");
    let answer = second.ask(&transfer);
    assert!(answer.starts_with("ok 4 2 ") && answer.ends_with("true"), "{answer}");
    assert!(second.ask(&format!("transfer a b 998 {id}")).contains("CommandIdReused"));
    assert!(second.ask(&format!("deposit a 1000 {id}")).contains("CommandIdReused"));
    line.end().await;
}

/// Guarantee 3: the server still has the call when the connection is cut, and the same call comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_the_lock_when_the_connection_is_cut_takes_effect_once() {
    let line = Line::new().await;
    for _ in 0..rounds(2) {
        let lock = line.direct.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
        let caller = line.annals.clone();
        let call = tokio::spawn(async move { caller.execute(deposit("a", 1), &by("alice")).await });
        line.wait_for_a_backend_at_the_lock().await;
        line.proxy.cut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(lock);
        assert!(!call.await.unwrap().unwrap().repeated);
    }
    line.end().await;
}

/// Guarantee 3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_terminated_while_it_waits_for_the_lock_fails_no_caller() {
    let line = Line::new().await;
    for _ in 0..rounds(2) {
        let lock = line.direct.store().write_lock(PATIENCE, PATIENCE).await.unwrap();
        let caller = line.annals.clone();
        let call = tokio::spawn(async move { caller.execute(deposit("a", 1), &by("alice")).await });
        line.wait_for_a_backend_at_the_lock().await;
        let waiting = line.waiting();
        let ended =
            line.schema().sql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waiting}"));
        assert!(ended.starts_with('t'), "{ended}");
        drop(lock);
        assert!(!call.await.unwrap().unwrap().repeated);
    }
    line.end().await;
}

/// Guarantee 3: an unreachable server is a true error, and later calls succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_unreachable_callers_get_true_answers() {
    let line = Line::new().await;
    line.proxy.refuse(true);
    line.proxy.cut();
    let context = by("alice").command_id(Uuid::new_v4());
    let call = tokio::time::timeout(PATIENCE, line.annals.execute(deposit("a", 1), &context)).await;
    let error = call.expect("an answer").expect_err("nothing can be written");
    assert!(
        matches!(error, ExecuteError::Store(_) | ExecuteError::Load(_) | ExecuteError::OutcomeUnknown { .. }),
        "{error:?}"
    );
    assert_eq!(line.direct.store().head().await.unwrap().position, 1);
    line.proxy.refuse(false);
    let receipt = line.annals.execute(deposit("a", 1), &context).await.unwrap();
    assert_eq!((receipt.first_position, receipt.repeated), (2, false));
    line.end().await;
}

/// Mission A11: a writer is killed at any byte that it sends or receives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_killed_at_any_byte_of_a_write_loses_and_repeats_no_event() {
    let place = Place::postgres();
    open(&place).await.close().await;
    let mut answers = Answers::default();
    for round in 0..rounds(4) {
        let proxy = Proxy::before(place.url());
        let (way, most) = if round % 2 == 0 { (Way::Up, 100_000) } else { (Way::Down, 30_000) };
        let writer = Process::start(&proxy.url(place.url()), &format!("write 0 {}", answers.next(0)));
        let first = writer.next_line();
        proxy.cut_after(way, random(most));
        assert!(proxy.wait_for_cuts(1, PATIENCE), "it stopped writing");
        let mut said = vec![first];
        said.extend(writer.kill());
        answers.add(0, &said);
        drop(proxy);
        let annals = open(&place).await;
        assert_kept(&annals, &answers).await;
        annals.close().await;
    }
    assert!(answers.count() > 0, "no writer wrote");
}
