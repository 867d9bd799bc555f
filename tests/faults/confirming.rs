//! A command is answered once a synchronous standby has it, also where somebody cancels the wait and the server restarts.

use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::Server;
use tokio::task::block_in_place;

use crate::bank::*;
use crate::lines::wait_for;
use crate::promises::{Answers, assert_kept};

const WAITING: &str = "pg_stat_activity WHERE wait_event = 'SyncRep'";

/// Mission X75, Guarantees 3 and 48: the outcome is unknown, so the writer asks again, and waits for the standby again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_wait_for_a_standby_is_cancelled_is_answered_once_a_standby_has_it() {
    let server = block_in_place(Server::own);
    let standby = block_in_place(|| server.standby());
    block_in_place(|| server.wait_for_standbys(true));
    // Nobody drops the schema, which would wait for the standby where the test fails.
    let url = format!("{}?schema=confirming", server.url());
    let annals = app().open_without_following(&url).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    standby.freeze();
    let context = by("alice").command_id(uuid::Uuid::new_v4());
    let execute = |annals: &Annals| {
        let (annals, context) = (annals.clone(), context.clone());
        tokio::spawn(async move { annals.execute(deposit("a", 10), &context).await })
    };
    let mut executed = execute(&annals);
    for restart in [false, true, false] {
        wait_for("a wait for the standby", async || {
            block_in_place(|| server.sql(&format!("SELECT count(*) FROM {WAITING}"))) != "0"
        })
        .await;
        match restart {
            true => block_in_place(|| {
                server.stop_immediately();
                server.start();
            }),
            false => drop(block_in_place(|| server.sql(&format!("SELECT pg_cancel_backend(pid) FROM {WAITING}")))),
        }
        let answered = tokio::time::timeout(Duration::from_millis(500), &mut executed).await;
        assert!(answered.is_err(), "no standby has it, and the answer is {answered:?}");
    }
    // Reading needs no standby.
    assert_eq!(log(&annals).await.len(), 2);
    // Another process finds it in the log.
    let other = app().open_without_following(&url).await.unwrap();
    let mut repeated = execute(&other);
    let answered = tokio::time::timeout(Duration::from_millis(500), &mut repeated).await;
    assert!(answered.is_err(), "no standby has it, and the answer is {answered:?}");
    wait_for("that no command can be executed", async || annals.store().ready().await.is_err()).await;
    standby.thaw();
    for executed in [executed, repeated] {
        assert_eq!(executed.await.unwrap().unwrap().first_position, 2);
    }
    other.close().await;
    annals.close().await;
    let annals = app().open(&url).await.unwrap();
    assert_eq!(assert_kept(&annals, &Answers::default()).await.len(), 2);
    annals.close().await;
}
