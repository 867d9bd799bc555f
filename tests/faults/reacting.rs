//! Reactions under faults: processes that write and react are killed, stopped, and an older backup is restored.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use annals::events::Stored;
use annals::prelude::*;
use annals::projections::SkipPolicy;
use annals_test_postgres::{Place, Server};
use uuid::Uuid;

use crate::killing::in_stores;
use crate::processes::Process;
use crate::reactors::*;
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    killed_processes_do_each_step_of_a_reaction_once,
    a_process_stopped_past_its_lease_does_no_step_twice,
);

/// A time longer than a lease.
const PAST_A_LEASE: Duration = Duration::from_secs(7);

/// Guarantee 30: two processes that write and react, killed at random moments; so at any step between an event and its command.
async fn killed_processes_do_each_step_of_a_reaction_once(first: &Place) {
    in_stores(first, rounds(4), kill_for).await;
}

async fn kill_for(place: &Place, rounds: u64) {
    let mut next = [0, 0];
    app().open(place.url()).await.unwrap().close().await;
    for _ in 0..rounds {
        let role = |writer: usize| format!("react {writer} {}", next[writer]);
        let mut processes: Vec<_> = (0..2).map(|writer| Process::start(place.url(), &role(writer))).collect();
        processes.iter_mut().for_each(Process::wait_until_it_speaks);
        for (writer, process) in processes.into_iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(random(600))).await;
            next[writer] = acknowledged(&process.kill()).unwrap_or(next[writer]);
        }
    }
    assert!(next.iter().all(|n| *n > 0), "a writer wrote nothing");
    assert_each_once(place.url()).await;
}

/// The number after the last command that was answered.
fn acknowledged(said: &[String]) -> Option<u64> {
    said.iter().filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok()).map(|n| n + 1).max()
}

/// Guarantee 30: SIGSTOP until another process leads; then both execute steps for a moment.
async fn a_process_stopped_past_its_lease_does_no_step_twice(place: &Place) {
    app().open(place.url()).await.unwrap().close().await;
    let mut next = 0;
    for _ in 0..rounds(2).div_ceil(2) {
        let mut one = Process::start(place.url(), &format!("react 0 {next}"));
        one.wait_until_it_speaks();
        let mut two = Process::start(place.url(), "react 1 0");
        two.wait_until_it_speaks();
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        one.signal("-STOP");
        tokio::time::sleep(PAST_A_LEASE).await;
        one.signal("-CONT");
        tokio::time::sleep(Duration::from_millis(500)).await;
        next = acknowledged(&one.kill()).unwrap_or(next);
        two.kill();
    }
    assert_each_once(place.url()).await;
}

/// Guarantee 30: the database is stopped at once under both processes, and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_database_does_each_step_of_a_reaction_once() {
    let server = Server::own();
    let place = server.schema();
    app().open(place.url()).await.unwrap().close().await;
    let mut next = [0, 0];
    for _ in 0..rounds(2) {
        let role = |writer: usize| format!("react {writer} {}", next[writer]);
        let mut processes: Vec<_> = (0..2).map(|writer| Process::start(place.url(), &role(writer))).collect();
        processes.iter_mut().for_each(Process::wait_until_it_speaks);
        tokio::time::sleep(Duration::from_millis(random(600))).await;
        server.stop_immediately();
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        server.start();
        // Their writers have ended, and they go on with what is left.
        tokio::time::sleep(Duration::from_millis(500 + random(1_500))).await;
        for (writer, process) in processes.into_iter().enumerate() {
            next[writer] = acknowledged(&process.kill()).unwrap_or(next[writer]);
        }
    }
    assert_each_once(place.url()).await;
}

/// Asks for these jobs, and reacts to nothing.
async fn only_ask(url: &str, jobs: Range<u64>) {
    let annals = app().open_without_following(url).await.unwrap();
    for n in jobs {
        let ask = Ask { job: JobId::new((n % 10).to_string()), n };
        annals.execute(ask, &Context::by(Ref::new("user", "alice").unwrap())).await.unwrap();
    }
    annals.close().await;
}

/// Guarantee 30: what is done again after an older backup is exactly what the log no longer has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_older_database_what_the_log_lost_is_done_again() {
    let server = Server::own();
    let place = server.schema();
    let url = place.url();
    app().open(url).await.unwrap().close().await;
    only_ask(url, 0..20).await;
    assert_each_once(url).await;
    only_ask(url, 20..40).await;
    server.save();
    assert_each_once(url).await;
    server.restore();
    assert_eq!(assert_each_once(url).await, 40);
}

/// Guarantee 30, where the log and the tables of projections are files of their own: the tables are newer than the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_older_file_what_the_log_lost_is_done_again() {
    let place = Place::sqlite();
    let url = place.url();
    app().open(url).await.unwrap().close().await;
    only_ask(url, 0..20).await;
    assert_each_once(url).await;
    only_ask(url, 20..40).await;
    let file = url.replace("sqlite://", "");
    let saved = std::fs::read(&file).unwrap();
    assert_each_once(url).await;
    for journal in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{journal}"));
    }
    std::fs::write(&file, saved).unwrap();
    let annals = app().open(url).await.unwrap();
    for (name, rebuild) in annals.rebuild_all(SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    annals.close().await;
    assert_eq!(assert_each_once(url).await, 40);
}

/// Reads the whole log.
async fn log(annals: &Annals) -> Vec<Stored> {
    let (mut log, mut after) = (Vec::new(), 0);
    loop {
        let page = annals.events(after, 10_000).await.unwrap();
        if page.events.is_empty() {
            return log;
        }
        after = page.to.position;
        log.extend(page.events);
    }
}

/// Lets a process do what is left, and compares what was done with what the log asks for. Returns the number of jobs.
async fn assert_each_once(url: &str) -> usize {
    let annals = app().open(url).await.unwrap();
    let finished = async {
        loop {
            let status = annals.reactions().await.unwrap().remove(0);
            if (status.pending, status.timers) == (0, 0) && status.position == status.head {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), finished).await.expect("all steps are done");
    let log = log(&annals).await;
    // A second look: nothing is done again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(annals.store().head().await.unwrap().position, log.len() as u64);
    annals.close().await;
    judge(&log)
}

/// Compares what was done with what the log asks for. Returns the number of jobs.
fn judge(log: &[Stored]) -> usize {
    let mut effects: HashMap<Uuid, Vec<&Stored>> = HashMap::new();
    let mut commands: HashMap<Uuid, u64> = HashMap::new();
    for stored in log {
        *commands.entry(stored.command_id).or_default() += 1;
        if let Some(cause) = stored.metadata().unwrap().causation {
            effects.entry(cause.parse().unwrap()).or_default().push(stored);
        }
    }
    assert!(commands.values().all(|events| *events == 1), "a command has events twice");
    let mut order: BTreeMap<Ref, Vec<u64>> = BTreeMap::new();
    let mut asked: HashMap<Ref, u64> = HashMap::new();
    for stored in log.iter().filter(|stored| stored.event_type == "job.asked") {
        let Ok(JobEvent::Asked { n }) = JobEvent::from_stored(stored) else { panic!("a job") };
        let count = asked.entry(stored.aggregate.clone()).or_default();
        *count += 1;
        let done = effects.remove(&stored.event_id).unwrap_or_default();
        let mut types: Vec<&str> = done.iter().map(|effect| effect.event_type.as_str()).collect();
        types.sort_unstable();
        let expected = match fate(n) {
            Fate::Worked => ["desk.reminded", "desk.worked"],
            Fate::Refused => ["annals_reaction.refused", "desk.reminded"],
            Fate::Nothing => ["annals_reaction.changed_nothing", "desk.reminded"],
        };
        assert_eq!(types, expected, "what followed event {} ({n})", stored.position);
        for effect in done {
            match effect.event_type.as_str() {
                "desk.worked" => {
                    let worked = DeskEvent::from_stored(effect).unwrap();
                    assert_eq!(worked, DeskEvent::Worked { n, asked: *count }, "the state as of the event");
                    order.entry(stored.aggregate.clone()).or_default().push(effect.position);
                }
                "desk.reminded" => assert!(effect.recorded_at >= stored.recorded_at + SOON, "a reminder was early"),
                _ => {}
            }
        }
    }
    assert!(effects.is_empty(), "something followed from events that are not in the log");
    assert!(order.values().all(|positions| positions.is_sorted()), "the steps of a job are out of order");
    asked.values().sum::<u64>() as usize
}
