//! Rights that are revoked, or end, while two processes execute commands by them, and are killed with -9.

use std::time::{Duration, Instant};

use annals::access::{GrantAccess, Right};
use annals::prelude::*;
use annals_test_postgres::Place;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::bank::by;
use crate::judge::Judge;
use crate::processes::Process;
use crate::racers::{WORKERS, app, name, party, revoke};
use crate::{random, rounds};

annals_test_postgres::both_stores!(no_process_executes_anything_by_a_right_that_was_withdrawn_before);

/// A long run changes to a new log after this many rounds.
const ROUNDS_A_LOG: u64 = 100;
/// In every third round, a process is killed.
const KILL_EVERY: u64 = 3;
/// A long run prints its numbers after so many rounds.
const SAY_EVERY: u64 = 50;

/// What a run was made of.
#[derive(Debug, Default)]
struct Totals {
    rounds: u64,
    kills: u64,
    /// Rounds without a kill in which both processes paid shortly before the first withdrawal.
    raced: u64,
    /// Payments that were acknowledged, as the processes count; what a killed one counted is lost.
    acknowledged: u64,
    /// Payments in the log.
    in_the_log: u64,
    /// Payments by a right that ended at a time.
    limited: u64,
    denied: u64,
    /// Commands that began after all rights had been withdrawn: each was denied.
    after: u64,
    /// Commands that were given up after many conflicts.
    conflicts: u64,
}

/// Mission X15, Guarantees 1 and 27: two processes of 32 callers and a stream each execute commands by five rights, of which one
/// was passed on, one ends at a time, and two need a second one on whose behalf they act. The rights are revoked at random moments by
/// this process or one of the two; in every third round, one of the two is killed around that time. No event of the log is at a
/// position, or was recorded at a time, at which its actor or principal had no right.
async fn no_process_executes_anything_by_a_right_that_was_withdrawn_before(first: &Place) {
    let (mut totals, rounds) = (Totals::default(), rounds(6));
    race(first, rounds.min(ROUNDS_A_LOG), &mut totals).await;
    while totals.rounds < rounds {
        let next = if first.schema().is_some() { Place::postgres() } else { Place::sqlite() };
        race(&next, (rounds - totals.rounds).min(ROUNDS_A_LOG), &mut totals).await;
    }
    println!("{totals:?}");
    assert_eq!(totals.kills, rounds / KILL_EVERY);
    assert!(2 * totals.raced > rounds - totals.kills, "they paid long before the withdrawals: {totals:?}");
    assert!(4 * totals.limited > rounds, "few commands by a right that ends: {totals:?}");
}

async fn race(place: &Place, rounds: u64, totals: &mut Totals) {
    let annals = app().open_without_following(place.url()).await.unwrap();
    let start = |process| {
        let started = Process::start(place.url(), &format!("race {process}"));
        assert_eq!(started.next_line(), "ready");
        started
    };
    let mut processes = [start(0), start(1)];
    let (mut judge, mut latency) = (Judge::default(), Duration::from_millis(50));
    for round in 0..rounds {
        let kills = totals.rounds % KILL_EVERY == KILL_EVERY - 1;
        let grants = grant(&annals, round).await;
        for process in &mut processes {
            process.tell(&format!("round {round}"));
        }
        for process in &processes {
            assert!(paying(process, round) > 0, "round {round} did not begin in both processes");
        }

        // Erin gets a right only now, which ends soon: sooner, it would end before the round has begun on a busy machine.
        let began = Instant::now();
        let until = Timestamp::now() + 4 * latency + SignedDuration::from_millis(100 + random(150) as i64);
        grant_until(&annals, round, until).await;
        latency = began.elapsed();

        // Each right is revoked at its own moment: by this process, or by one of the two a little earlier.
        let span = if kills { 150 } else { 60 };
        let mut revocations = Vec::new();
        for (actor, grantee, grant) in grants {
            let (moment, id) = (random(span), Uuid::new_v4());
            let later = match random(3) {
                2 => 0,
                process => {
                    let line = format!("revoke {moment} {actor} {grantee} {grant} {id}");
                    processes[process as usize].tell(&line);
                    random(10)
                }
            };
            let annals = annals.clone();
            revocations.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(moment + later)).await;
                revoke(&annals, &actor, &grantee, grant, id).await;
            }));
        }
        let mut killed = None;
        if kills {
            let victim = random(2) as usize;
            tokio::time::sleep(Duration::from_millis(random(span))).await;
            let [one, other] = processes;
            let (dead, kept) = if victim == 0 { (one, other) } else { (other, one) };
            dead.kill();
            let mut again = start(victim);
            again.tell(&format!("round {round}"));
            processes = if victim == 0 { [again, kept] } else { [kept, again] };
            killed = Some(victim);
            totals.kills += 1;
        }
        for revocation in revocations {
            revocation.await.unwrap();
        }
        let left = until.duration_since(Timestamp::now());
        tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;

        // Now each worker of both processes tries once more.
        if let Some(killed) = killed {
            paying(&processes[killed], round);
        }
        let mut paid = [0; 2];
        for process in &mut processes {
            process.tell("withdrawn");
        }
        for (process, paid) in processes.iter().zip(&mut paid) {
            let [of, acknowledged, denied, after, late, conflicts] = numbers(&process.next_line(), "done");
            assert_eq!((of, late), (round, 0), "paid after all rights had been withdrawn");
            assert_eq!(after, WORKERS, "not every worker tried after the withdrawal");
            *paid = acknowledged;
            totals.denied += denied;
            totals.after += after;
            totals.conflicts += conflicts;
        }
        let seen = judge.read(&after(&annals, judge.position()).await);
        assert!(seen.without_a_right.is_empty(), "round {round}: {:#?}", seen.without_a_right);
        for process in 0..2 {
            let (paid, found) = (paid[process], seen.paid[process]);
            let kept = if killed == Some(process) { paid <= found } else { paid == found };
            assert!(kept, "round {round}: {process} got {paid} receipts for {found} payments");
            totals.acknowledged += paid;
            totals.in_the_log += found;
        }
        totals.rounds += 1;
        totals.raced += u64::from(seen.raced && !kills);
        totals.limited += seen.limited;
        if totals.rounds.is_multiple_of(SAY_EVERY) {
            println!("{totals:?}");
        }
    }
    drop(processes);
    assert!(annals.check(|_, _| ()).await.unwrap().is_sound());
    annals.close().await;
}

fn right() -> Vec<Right> {
    vec!["execute deposit *".parse().unwrap()]
}

/// Grants the rights of a round. Returns those that are revoked: revoker, grantee and grant.
async fn grant(annals: &Annals, round: u64) -> Vec<(String, String, Uuid)> {
    let mut revoked = Vec::new();
    for (giver, grantee) in [("alice", "bob"), ("bob", "carol"), ("alice", "dave"), ("alice", "frank")] {
        let giver = if giver == "alice" { giver.to_owned() } else { name(giver, round) };
        let grantee = name(grantee, round);
        let command = GrantAccess::new(party(&grantee), right(), "a round");
        let command = if grantee.starts_with("bob") { command.delegable() } else { command };
        annals.execute(command, &by(&giver)).await.unwrap();
        let record = annals.access_of(&party(&grantee)).await.unwrap();
        let [grant] = record.grants().keys().copied().collect::<Vec<_>>()[..] else {
            panic!("{grantee} has other grants: {record:?}");
        };
        revoked.push((giver, grantee, grant));
    }
    revoked
}

/// Grants erin's right of a round.
async fn grant_until(annals: &Annals, round: u64, until: Timestamp) {
    let command = GrantAccess::new(party(&name("erin", round)), right(), "a round").until(until);
    annals.execute(command, &by("alice")).await.unwrap();
}

/// Waits until the workers of a process have answers. Returns how many payments were acknowledged by then.
fn paying(process: &Process, round: u64) -> u64 {
    let [of, paid] = numbers(&process.next_line(), "paying");
    assert_eq!(of, round);
    paid
}

/// The numbers behind a word.
fn numbers<const N: usize>(line: &str, word: &str) -> [u64; N] {
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some(word), "{line}");
    let numbers: Vec<u64> = words.map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{line}"))
}

async fn after(annals: &Annals, mut position: u64) -> Vec<annals::events::Stored> {
    let mut events = Vec::new();
    loop {
        let page = annals.events(position, 10_000).await.unwrap().events;
        let Some(last) = page.last() else { return events };
        position = last.position;
        events.extend(page);
    }
}
