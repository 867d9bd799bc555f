//! Missions X1 and X2: several processes, some of which are killed.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{TestDirectory, open_at};
use crate::store::Outcome;
use crate::store::conformance::bench::{aggregate, append, assert_in_order, batch, commit, committed, log};

/// Starts a process that appends to `name` until it is killed, and prints a line for each receipt.
fn writer(dir: &TestDirectory, name: &str) -> Child {
    let test = "store::sqlite::tests::processes::writes_until_it_is_killed";
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("ANNALS_TEST_LOG", dir.log())
        .env("ANNALS_TEST_NAME", name)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn writes_until_it_is_killed() {
    let (Some(path), Ok(name)) = (std::env::var_os("ANNALS_TEST_LOG"), std::env::var("ANNALS_TEST_NAME")) else {
        return;
    };
    let store = open_at(Path::new(&path), true).await.unwrap();
    let mut sequence = store.load(&aggregate(&name), 0, usize::MAX).await.unwrap().len() as u64;
    let mut output = std::io::stdout();
    loop {
        let commits = (0..5_u64).map(|number| {
            let random = u128::from(uuid::Uuid::new_v4().as_u64_pair().0);
            commit(random).on(&name, sequence + number * 2, 2)
        });
        let outcomes = append(&*store, commits).await;
        sequence += 10;
        for outcome in outcomes {
            let Outcome::Committed(receipt) = outcome else { panic!("{outcome:?}") };
            writeln!(output, "receipt {} {}", receipt.head.position, receipt.head.event_id).unwrap();
        }
        output.flush().unwrap();
    }
}

/// The receipts that a process printed before it was killed.
fn receipts(child: &mut Child) -> Vec<(usize, String)> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| {
            // The test harness prints its own text before the first line.
            let mut words = line.split("receipt ").nth(1)?.split(' ');
            let (position, id) = (words.next()?.parse().ok()?, words.next()?.to_owned());
            (id.len() == 36).then_some((position, id))
        })
        .collect()
}

/// Missions X1 and A11: after kill -9 at any moment there is no gap, no lost receipt, no partial commit, no starved
/// process.
#[tokio::test]
async fn killed_writers_leave_a_log_without_gaps_that_has_every_receipt() {
    let dir = TestDirectory::new();
    let mut acknowledged = [Vec::new(), Vec::new()];
    for round in 0..5 {
        let mut children = [writer(&dir, "tally:one"), writer(&dir, "tally:two")];
        tokio::time::sleep(Duration::from_millis(400 + round * 73)).await;
        // A third process, this one, gets its share as well.
        let store = dir.open().await;
        committed(&*store, commit(round.into()).on(&format!("tally:{round}"), 0, 1)).await;
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for (child, all) in children.iter_mut().zip(&mut acknowledged) {
            all.extend(receipts(child));
        }
        let events = log(&*store).await;
        assert_in_order(&events);
        let written = |name: &str| events.iter().filter(|event| event.aggregate.id() == name).count();
        assert_eq!(
            (written("one") % 10, written("two") % 10),
            (0, 0),
            "a batch is in the log as a whole or not at all"
        );
        for (position, id) in acknowledged.iter().flatten() {
            assert_eq!(events[position - 1].event_id.to_string(), *id, "an event with a receipt is in the log");
        }
        assert_eq!(store.check_integrity().await.unwrap(), []);
    }
    assert!(acknowledged.iter().all(|all| all.len() > 50), "each process got its share");
}

/// Guarantee 18: a program that does not use the file lock holds SQLite's own lock for a moment.
#[tokio::test]
async fn the_writer_waits_for_another_program_that_holds_sqlites_lock() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    let raw = dir.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move {
        committed(&*store, commit(1).on("tally:a", 0, 1)).await;
        store
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    raw.execute_batch("ROLLBACK").unwrap();
    let store = waiting.await.unwrap();
    let refusal = store.append(batch([commit(2).read("tally:a", 1)])).await.unwrap();
    assert!(refusal[0].is_committed());
}

/// A batch that writes nothing needs no lock.
#[tokio::test]
async fn a_refusal_is_answered_while_another_process_holds_the_lock() {
    let dir = TestDirectory::new();
    let (store, other) = (dir.open().await, dir.open().await);
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let session = other.write_lock(Duration::from_secs(5), Duration::from_secs(20)).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(5), append(&*store, [commit(2).read("tally:a", 1)]));
    assert!(answer.await.unwrap()[0].is_committed());
    drop(session);
}
