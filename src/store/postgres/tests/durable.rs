//! Mission J5: acknowledged commits survive a crash of the server, with any settings of the connection.

use std::time::Duration;

use annals_test_postgres::Server;

use super::open_at;
use crate::store::conformance::bench::{batch, commit, committed, log};

/// A crash would lose a commit that was not flushed: the server flushes by itself only every ten seconds.
const LAZY: &str = "wal_writer_delay=10000";

/// The store ends with the server; another is opened after the restart.
async fn survives_a_crash(server: &Server, url: &str, number: u64, exclusive: bool) {
    let store = open_at(url, true).await.unwrap();
    let commit = commit(number.into()).on("tally:a", number - 1, 1);
    if exclusive {
        let second = Duration::from_secs(5);
        let session = store.write_lock(second, second).await.unwrap();
        session.append(batch([commit])).await.unwrap();
    } else {
        committed(&*store, commit).await;
    }
    server.stop_immediately();
    server.start();
    let store = open_at(url, false).await.unwrap();
    assert_eq!(log(&*store).await.len() as u64, number, "exclusive: {exclusive}, {url}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_asynchronous_commit_loses_no_acknowledged_commit() {
    let server = Server::with(&[LAZY]);
    let fresh = server.schema();
    server.sql("ALTER ROLE CURRENT_USER SET synchronous_commit = off; ALTER DATABASE postgres SET synchronous_commit = off");
    let store = open_at(fresh.url(), true).await.unwrap();
    assert!(store.describe().contains("synchronous_commit=on"), "{}", store.describe());
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    server.sql("CHECKPOINT");
    store.close().await;
    survives_a_crash(&server, fresh.url(), 2, false).await;
    survives_a_crash(&server, fresh.url(), 3, true).await;
    let pooled = format!("{}&pooler=transaction", fresh.url());
    survives_a_crash(&server, &pooled, 4, false).await;
    survives_a_crash(&server, &pooled, 5, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_warns_of_a_server_that_may_lose_acknowledged_commits() {
    let server = Server::with(&["fsync=off", "full_page_writes=off"]);
    let store = open_at(server.schema().url(), true).await.unwrap();
    let words = store.describe();
    for weakness in ["NOT DURABLE: fsync=off", "NOT DURABLE: full_page_writes=off"] {
        assert!(words.contains(weakness), "{words}");
    }
}
