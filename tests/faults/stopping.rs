//! A server that is stopped at once, or frozen, under load.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annals::commands::ExecuteError;
use annals::prelude::*;
use annals_test_postgres::Server;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::bank::*;
use crate::lines::wait_for;
use crate::processes::Process;
use crate::promises::{Answers, Follower, assert_kept};
use crate::rounds;

const CALLERS: usize = 16;

/// The answers to callers, by command id.
#[derive(Default)]
struct Answered {
    done: HashMap<Uuid, Receipt>,
    refused: Vec<Uuid>,
    /// The commands answered as not executed.
    failed: Vec<Uuid>,
    unknown: u32,
}

/// Starts callers that transfer between five accounts without pause until `stop` is set. A caller retries after an
/// unknown outcome, and does not retry after "not executed".
fn load(annals: &Annals, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Answered>> {
    let call = |caller: usize| {
        let (annals, stop) = (annals.clone(), stop.clone());
        async move {
            let mut answered = Answered::default();
            for step in 0.. {
                let id = Uuid::now_v7();
                let (from, to) = ((caller + step) % 5, (caller + step + 1 + step % 4) % 5);
                let transfer =
                    Transfer { from: account(&from.to_string()), to: account(&to.to_string()), cents: 1 };
                let context = by(&format!("caller{caller}")).command_id(id);
                loop {
                    match annals.execute(transfer.clone(), &context).await {
                        Ok(receipt) => drop(answered.done.insert(id, receipt)),
                        Err(ExecuteError::Refused(_)) => answered.refused.push(id),
                        Err(ExecuteError::OutcomeUnknown { .. }) => {
                            answered.unknown += 1;
                            continue;
                        }
                        Err(ExecuteError::Store(_) | ExecuteError::Load(_)) => {
                            answered.failed.push(id);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(error) => panic!("{error}: {error:?}"),
                    }
                    break;
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            answered
        }
    };
    (0..CALLERS).map(|caller| tokio::spawn(call(caller))).collect()
}

/// Checks every answer, and all guarantees.
async fn assert_answers_are_true(annals: &Annals, callers: Vec<JoinHandle<Answered>>) -> Answered {
    let mut all = Answered::default();
    for caller in callers {
        let answered = caller.await.unwrap();
        all.done.extend(answered.done);
        all.refused.extend(answered.refused);
        all.failed.extend(answered.failed);
        all.unknown += answered.unknown;
    }
    let log = assert_kept(annals, &Answers::default()).await;
    let mut there: HashMap<Uuid, Vec<u64>> = HashMap::new();
    log.iter().for_each(|event| there.entry(event.command_id).or_default().push(event.position));
    for (id, receipt) in &all.done {
        let expected = [receipt.first_position, receipt.first_position + 1];
        assert_eq!(there.get(id).map(Vec::as_slice), Some(&expected[..]), "{id} was answered as executed");
    }
    for id in all.refused.iter().chain(&all.failed) {
        assert_eq!(there.get(id), None, "{id} was answered as not executed");
    }
    all
}

/// Opens a store on its own server, with money on five accounts.
async fn on(server: &Server) -> (annals_test_postgres::Fresh, Annals) {
    let schema = server.schema();
    let annals = app().open(schema.url()).await.unwrap();
    for name in 0..5 {
        annals.execute(deposit(&name.to_string(), 1_000_000), &by("alice")).await.unwrap();
    }
    (schema, annals)
}

/// Waits until callers make progress again.
pub async fn wait_for_progress(annals: &Annals) {
    let from = wait_for_head(annals).await;
    wait_for("an append", async || annals.store().head().await.is_ok_and(|head| head.position > from + 100)).await;
}

async fn wait_for_head(annals: &Annals) -> u64 {
    let mut head = 0;
    wait_for("the server", async || {
        let read = annals.store().head().await;
        head = read.as_ref().map_or(0, |head| head.position);
        read.is_ok()
    })
    .await;
    head
}

/// Missions X1, X2 and A11, Guarantee 3: no commit is lost or repeated, and every answer is true.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_stopped_under_load_keeps_acknowledged_commits_and_every_answer_is_true() {
    let server = Server::own();
    let (schema, annals) = on(&server).await;
    let mut follower = Follower::of_all("pages");
    let follows = Process::start(schema.url(), "pages 0");
    let mut seen = vec![follows.next_line()];
    let stop = Arc::new(AtomicBool::new(false));
    let callers = load(&annals, &stop);
    for round in 0..rounds(3) {
        wait_for_progress(&annals).await;
        let (down, stopped) = (Duration::from_millis(50 + 700 * (round % 3)), &server);
        tokio::task::block_in_place(|| stopped.stop_immediately());
        tokio::time::sleep(down).await;
        tokio::task::block_in_place(|| stopped.start());
        wait_for_progress(&annals).await;
    }
    stop.store(true, Ordering::Relaxed);
    let answered = assert_answers_are_true(&annals, callers).await;
    assert!(answered.done.len() > 100);
    let head = annals.store().head().await.unwrap().position;
    while seen.last() != Some(&format!("saw {head}")) {
        seen.push(follows.next_line());
    }
    follower.add(&seen);
    follower.assert_followed(&log(&annals).await);
    assert!(annals.projections().await.unwrap().iter().all(|projection| !projection.is_stopped()));
    annals.close().await;
    follows.kill();
}

/// Guarantee 3: the connection is open, and the server does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_frozen_for_seconds_fails_no_caller() {
    let server = Server::own();
    let (_schema, annals) = on(&server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers = load(&annals, &stop);
    for _ in 0..rounds(1) {
        wait_for_progress(&annals).await;
        server.freeze();
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.thaw();
        wait_for_progress(&annals).await;
    }
    stop.store(true, Ordering::Relaxed);
    let answered = assert_answers_are_true(&annals, callers).await;
    assert_eq!((answered.failed.len(), answered.unknown), (0, 0));
    annals.close().await;
}
