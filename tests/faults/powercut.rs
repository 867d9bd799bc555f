//! Power cuts and failing disks, on SQLite. (`stopping` has a PostgreSQL server that is stopped at once.)

use uuid::Uuid;

use crate::bank::*;
use crate::disk::{Disk, Fate, Image, Operation, after_power_cut};
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};
use crate::{random, rounds};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Each unsynced write is kept, lost or torn at random.
fn chance() -> Fate {
    match random(5) {
        0 | 1 => Fate::Kept,
        2 | 3 => Fate::Lost,
        _ => Fate::Torn,
    }
}

/// Opens the files after a power cut, and checks all guarantees.
async fn assert_survived(image: &Image, operations: &[Operation]) {
    let mut answers = Answers::default();
    for operation in operations {
        let acks: Vec<_> = operation.said().into_iter().filter(|line| line.starts_with("ack ")).collect();
        answers.add(0, &acks);
    }
    let annals = app().open(&image.url()).await.unwrap();
    assert_kept(&annals, &answers).await;
    annals.close().await;
}

/// Missions A11 and X2: a process opens, writes and closes repeatedly until the power is cut, after a line that it
/// printed or at any moment; all unsynced writes are lost, or some of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_loses_no_acknowledged_commit() {
    let disk = Disk::new();
    let process = disk.start("sessions 0");
    for _ in 0..100 {
        process.next_line();
    }
    process.kill();
    let operations = disk.operations();
    let acknowledged = |operation: &Operation| operation.said().iter().any(|line| line.starts_with("ack "));
    let acks: Vec<usize> = (0..operations.len()).filter(|index| acknowledged(&operations[*index])).collect();
    assert!(acks.len() > 50, "{}", acks.len());
    let synced = |operation: &&Operation| matches!(operation, Operation::Sync(name) if name == "store.db");
    assert!(operations.iter().filter(synced).count() > 1, "the -wal file was copied to the log in between");
    for round in 0..rounds(8) {
        let cut = match round % 2 {
            0 => acks[random(acks.len() as u64) as usize] + 1,
            _ => random(operations.len() as u64) as usize,
        };
        let operations = &operations[..cut];
        assert_survived(&after_power_cut(operations, || Fate::Lost), operations).await;
        assert_survived(&after_power_cut(operations, chance), operations).await;
    }
}

/// Returns whether the log in a directory has a command.
async fn has(url: &str, id: Uuid) -> bool {
    let annals = app().open_without_following(url).await.unwrap();
    let known = annals.store().find_commands(&[id]).await.unwrap()[0].is_some();
    annals.close().await;
    known
}

fn serve(disk: &Disk) -> Process {
    let server = disk.start("serve");
    assert_eq!(server.next_line(), "ready");
    server
}

/// Guarantee 3: the answer to a commit that failed on the disk is true, and a retry with its id takes effect once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_on_the_disk_gets_a_true_answer_and_its_retry_takes_effect_once() {
    let disk = Disk::new();
    let mut server = serve(&disk);
    assert!(server.ask("deposit a 1").starts_with("ok"));
    let mut expected = 1;
    for (operation, error, times) in [
        ("sync", EIO, 1),
        ("sync", ENOSPC, 2),
        ("write", EIO, 1),
        ("write", ENOSPC, 1),
        ("write", ENOSPC, -1),
        ("sync", EIO, -1),
    ] {
        // An id from the caller, and a generated one.
        for given in [true, false] {
            let fault = format!("{operation} {error} {times}");
            let id = Uuid::new_v4();
            disk.fail(operation, error, times);
            let answer = server.ask(&if given { format!("deposit a 10 {id}") } else { "deposit a 10".to_owned() });
            let exhausted = disk.mend();
            assert!(times < 0 || exhausted, "{fault}: nothing failed");
            let unknown = answer.contains("OutcomeUnknown");
            println!("{fault}: {answer}");
            assert_eq!(unknown, operation == "sync" && times < 0, "{fault}: {answer}");
            if answer.starts_with("ok") {
                expected += 10;
            } else if given && !unknown {
                // A program that reads the whole -wal file after this one is killed finds no part of it either.
                server.kill();
                assert!(!has(&disk.url(), id).await, "{fault}: {answer}");
                server = serve(&disk);
            }
            if given {
                let was = answer.starts_with("ok");
                let answer = server.ask(&format!("deposit a 10 {id}"));
                assert!(answer.starts_with("ok"), "{fault}: {answer}");
                expected += if was { 0 } else { 10 };
            } else if unknown {
                // Only the log shows the outcome.
                let balance = server.ask("balance a");
                assert!([expected, expected + 10].iter().any(|cents| balance == format!("balance {cents}")));
                expected = balance.split(' ').nth(1).unwrap().parse().unwrap();
            }
            assert_eq!(server.ask("balance a"), format!("balance {expected}"), "{fault}");
        }
    }
    server.kill();
    let operations = disk.operations();
    for luck in [|| Fate::Lost, chance] {
        let image = after_power_cut(&operations, luck);
        let annals = app().open(&image.url()).await.unwrap();
        let log = assert_kept(&annals, &Answers::default()).await;
        let balances = crate::promises::fold(&log);
        assert_eq!(balances["a"].cents, expected, "after a power cut");
        annals.close().await;
    }
}

/// Guarantee 3: the sync of a commit fails, then the disk is full, so that no later attempt settles the outcome. Its
/// answer says that it is unknown; a command behind it, that it was not executed. Afterwards the retry takes effect once,
/// whether the process continued or was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_on_the_disk_before_it_is_full_is_unknown_and_its_retry_takes_effect_once() {
    let disk = Disk::new();
    let mut server = serve(&disk);
    let mut acknowledged: i64 = 0;
    for round in 0..4 {
        let (given, killed) = (round % 2 == 0, round < 2);
        assert!(server.ask("deposit a 1").starts_with("ok"));
        acknowledged += 1;
        let id = Uuid::new_v4();
        disk.fail_in_turn(&[("sync", EIO, 1), ("write", ENOSPC, -1)]);
        let answer = server.ask(&if given { format!("deposit a 10 {id}") } else { "deposit a 10".to_owned() });
        assert!(answer.contains("OutcomeUnknown"), "{answer}");
        // The last attempt wrote nothing, which does not say that the first did not.
        let says = answer.contains("LastAttempt(Database") && answer.contains("quota is full");
        assert!(says, "{answer}");
        let behind = server.ask("deposit b 1");
        assert!(behind.starts_with("error Store(Database") && behind.contains("quota is full"), "{behind}");
        let balance = server.ask("balance a");
        let possible = [acknowledged, acknowledged + 10].map(|cents| format!("balance {cents}"));
        assert!(possible.contains(&balance), "{balance}");
        assert!(disk.mend(), "no sync failed");
        if killed {
            server.kill();
            server = serve(&disk);
        }
        if given {
            for _ in 0..2 {
                let answer = server.ask(&format!("deposit a 10 {id}"));
                assert!(answer.starts_with("ok"), "{answer}");
            }
            acknowledged += 10;
        } else {
            let balance = server.ask("balance a");
            assert!(possible.contains(&balance), "{balance}");
            acknowledged = balance.split(' ').nth(1).unwrap().parse().unwrap();
        }
        assert_eq!(server.ask("balance a"), format!("balance {acknowledged}"), "given: {given}, killed: {killed}");
        assert_eq!(server.ask("balance b"), "balance 0");
    }
    assert!(server.ask("deposit a 1").starts_with("ok"));
    acknowledged += 1;
    server.kill();
    let operations = disk.operations();
    for luck in [|| Fate::Lost, chance] {
        let image = after_power_cut(&operations, luck);
        let annals = app().open(&image.url()).await.unwrap();
        let log = assert_kept(&annals, &Answers::default()).await;
        let balances = crate::promises::fold(&log);
        assert_eq!(balances["a"].cents, acknowledged, "after a power cut");
        assert!(!balances.contains_key("b"));
        annals.close().await;
    }
}
