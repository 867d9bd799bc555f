//! An older backup is restored under running programs, and the log grows beyond its old head.

use annals::prelude::*;
use annals_test_postgres::Server;

use crate::bank::*;
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};

/// Guarantee 16 (for SQLite: `behaviour`): the cached states of a program are outdated. It reports the error once, and
/// then decides on the restored log; its projections continue on that log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_running_program_detects_a_restored_older_database() {
    let server = Server::own();
    let schema = server.schema();
    let url = schema.url();
    let first = app().open(url).await.unwrap();
    first.execute(deposit("a", 1), &by("alice")).await.unwrap();
    caught_up(&first).await;
    first.close().await;
    server.save();

    // Two running programs: each has written, and has cached states that will be lost.
    let (mut one, mut two) = (Process::server(url), Process::server(url));
    assert!(one.ask("deposit a 1000").starts_with("ok 2 "));
    assert!(two.ask("deposit a 1000").starts_with("ok 3 "));
    assert_eq!(one.ask("balance a"), "balance 2001");
    server.restore();
    let other = app().open(url).await.unwrap();
    for cents in [2, 3, 4, 5] {
        other.execute(deposit("a", cents), &by("bob")).await.unwrap();
    }

    // The sequence of a transfer could match: their caches have 2,001, the log has 15.
    for program in [&mut one, &mut two] {
        let mut answer = program.ask("transfer a b 500");
        assert!(answer.starts_with("error") && answer.contains("Diverged"), "{answer}");
        answer = program.ask("transfer a b 500");
        assert!(answer.starts_with("refused"), "{answer}");
        assert!(program.ask("deposit a 100").starts_with("ok"));
    }
    assert_eq!(one.ask("balance a"), "balance 215");
    let log = assert_kept(&other, &Answers::default()).await;
    assert_eq!(log.len(), 7);
    other.close().await;
}

async fn caught_up(annals: &Annals) {
    let head = annals.store().head().await.unwrap();
    for name in ["audit", "metrics", "balance"] {
        annals.reading(name).unwrap().caught_up(head, None).await.unwrap();
    }
}
