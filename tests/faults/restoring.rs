//! An older backup under running programs, written on beyond the old head.

use annals::prelude::*;
use annals_test_postgres::Server;

use crate::bank::*;
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};

/// Guarantee 16, on SQLite in `behaviour`: what a program has in memory stands on nothing. It is told once, and decides
/// on the log as it is from then on; its projections go on with what was restored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_put_back_to_an_older_state_under_running_programs_is_noticed_by_each() {
    let server = Server::own();
    let schema = server.schema();
    let url = schema.url();
    let first = app().open(url).await.unwrap();
    first.execute(deposit("a", 1), &by("alice")).await.unwrap();
    caught_up(&first).await;
    first.close().await;
    server.save();

    // Two running programs: each has written, and has in memory what will be gone.
    let (mut one, mut two) = (Process::server(url), Process::server(url));
    assert!(one.ask("deposit a 1000").starts_with("ok 2 "));
    assert!(two.ask("deposit a 1000").starts_with("ok 3 "));
    assert_eq!(one.ask("balance a"), "balance 2001");
    server.restore();
    let other = app().open(url).await.unwrap();
    for cents in [2, 3, 4, 5] {
        other.execute(deposit("a", cents), &by("bob")).await.unwrap();
    }

    // By its sequence a transfer might fit: they believe that there are 2,001, and there are 15.
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
