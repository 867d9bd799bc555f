//! kill -9 at random moments, and during writes.

use std::time::Duration;

use annals_test_postgres::Place;

use crate::bank::app;
use crate::processes::Process;
use crate::promises::{Answers, Follower, assert_kept};
use crate::{random, rounds};

annals_test_postgres::both_stores!(killed_processes_lose_repeat_and_skip_no_event);

/// Reading a growing log takes longer and longer: a long run changes to a new log after this many rounds.
const ROUNDS_A_STORE: u64 = 10;

/// Missions X1, X2, X13, A11 and P20, Guarantees 3, 19 and 21: two writing processes, followers and a rebuilding one,
/// each killed at random moments, repeatedly.
async fn killed_processes_lose_repeat_and_skip_no_event(first: &Place) {
    in_stores(first, rounds(4), kill_for).await;
}

/// Runs this many rounds, a few of them on each store.
pub async fn in_stores(first: &Place, rounds: u64, run: impl AsyncFn(&Place, u64)) {
    run(first, rounds.min(ROUNDS_A_STORE)).await;
    let mut left = rounds.saturating_sub(ROUNDS_A_STORE);
    while left > 0 {
        let next = if first.schema().is_some() { Place::postgres() } else { Place::sqlite() };
        run(&next, left.min(ROUNDS_A_STORE)).await;
        left = left.saturating_sub(ROUNDS_A_STORE);
    }
}

async fn kill_for(place: &Place, rounds: u64) {
    let mut answers = Answers::default();
    let mut followers = [Follower::of_all("follow"), Follower::of_all("pages"), Follower::of_deposits()];
    app().open(place.url()).await.unwrap().close().await;
    for round in 0..rounds {
        let mut roles = vec![format!("write 0 {}", answers.next(0)), format!("write 1 {}", answers.next(1))];
        roles.extend(followers.iter().map(|follower| format!("{} {}", follower.role, follower.last())));
        roles.push(if round % 2 == 0 { "rebuild" } else { "run" }.to_owned());
        let mut processes: Vec<_> = roles.iter().map(|role| Process::start(place.url(), role)).collect();
        // The time starts after the first line of each: so both writers write at once in every round.
        processes.iter_mut().for_each(Process::wait_until_it_speaks);
        let mut processes: Vec<_> =
            processes.into_iter().map(|process| (process, random(1_200))).enumerate().collect();
        processes.sort_by_key(|(_, (_, moment))| *moment);
        let mut now = 0;
        for (index, (process, moment)) in processes {
            tokio::time::sleep(Duration::from_millis(moment - now)).await;
            now = moment;
            let said = process.kill();
            match index {
                0 | 1 => {
                    assert!(said.iter().any(|line| line.starts_with("ack")), "writer {index} wrote nothing");
                    answers.add(index as u64, &said);
                }
                2..5 => followers[index - 2].add(&said),
                _ => {}
            }
        }
        let annals = app().open(place.url()).await.unwrap();
        let log = assert_kept(&annals, &answers).await;
        followers.iter().for_each(|follower| follower.assert_followed(&log));
        annals.close().await;
    }
    assert!(answers.count() > 0, "no writer wrote");
    assert!(followers.iter().any(|follower| follower.last() > 0), "no follower received an event");
}
