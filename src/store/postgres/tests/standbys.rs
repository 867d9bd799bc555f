//! Mission X75, Guarantee 48: what is acknowledged was confirmed by a synchronous standby, also where its wait is cancelled or the server restarts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use annals_test_postgres::Server;
use sqlx::Executor;

use super::super::notices;
use super::{open_at, until};
use crate::store::conformance::bench::{PATIENCE, batch, commit, committed, log};
use crate::store::{Outcome, Store, StoreError};

/// Longer than a commit takes that waits for nobody.
const LONG: Duration = Duration::from_millis(700);

/// A server whose commits wait for a standby.
struct Waiting {
    primary: Server,
    standby: Server,
}

impl Waiting {
    fn start() -> Self {
        let primary = Server::own();
        let standby = primary.standby();
        primary.wait_for_standbys(true);
        Self { primary, standby }
    }

    /// The store. Nobody drops its schema, which would wait for the standby where a test fails.
    fn url(&self) -> String {
        format!("{}?schema=standbys", self.primary.url())
    }

    /// Waits until a backend waits for the standby, and cancels that.
    async fn cancel(&self) {
        let waiting = "pg_stat_activity WHERE wait_event = 'SyncRep'";
        until("a wait for the standby", async || {
            self.primary.sql(&format!("SELECT count(*) FROM {waiting}")) != "0"
        })
        .await;
        self.primary.sql(&format!("SELECT pg_cancel_backend(pid) FROM {waiting}"));
    }

    /// Asserts that a call is answered once the standby runs again, and no sooner.
    async fn only_with_the_standby<T: Send + 'static>(&self, mut call: impl FnMut() -> Call<T>) -> T {
        self.standby.freeze();
        let mut called = tokio::spawn(call());
        assert!(tokio::time::timeout(LONG, &mut called).await.is_err(), "an answer without a standby");
        self.standby.thaw();
        called.await.unwrap()
    }
}

type Call<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

fn is_unknown<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(
        matches!(&answer, Err(StoreError::OutcomeUnknown(why)) if why.to_string().contains("standby")),
        "{answer:?}"
    );
}

/// Appends a commit, also if its id is in the log; or refuses one that does not fit.
fn append(store: &Arc<dyn Store>, number: u64, expected: u64) -> Call<Vec<Outcome>> {
    let (store, batch) = (store.clone(), batch([commit(number.into()).on("tally:a", expected, 1)]).resent());
    Box::pin(async move { store.append(batch).await.unwrap() })
}

async fn in_each_way(server: &Waiting, url: &str, first: u64) {
    let store = open_at(url, true).await.unwrap();
    if first == 1 {
        committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    }
    for (number, exclusive) in [(first + 1, false), (first + 2, true)] {
        server.standby.freeze();
        let (appending, next) = (store.clone(), batch([commit(number.into()).on("tally:a", number - 1, 1)]));
        let appended = tokio::spawn(async move {
            match exclusive {
                true => appending.write_lock(PATIENCE, PATIENCE).await?.append(next).await,
                false => appending.append(next).await,
            }
        });
        server.cancel().await;
        is_unknown(appended.await.unwrap());
        server.standby.thaw();
        // It is in the log of the primary. That is an answer only with the standby.
        let found = server.only_with_the_standby(|| append(&store, number, number - 1)).await;
        assert!(
            matches!(found.as_slice(), [Outcome::Duplicate(receipt)] if receipt.first_position == number),
            "{found:?}"
        );
    }
    // So is an answer that writes nothing.
    let refused = server.only_with_the_standby(|| append(&store, 1_000, 0)).await;
    assert!(matches!(refused.as_slice(), [Outcome::Conflict]), "{refused:?}");
    assert_eq!(log(&*store).await.len() as u64, first + 2);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_wait_for_a_standby_was_cancelled_is_not_acknowledged() {
    let server = Waiting::start();
    let url = server.url();
    in_each_way(&server, &url, 1).await;
    in_each_way(&server, &format!("{url}&pooler=transaction"), 3).await;
    let store = open_at(&url, false).await.unwrap();
    let words = store.describe();
    assert!(words.contains("synchronous_standby_names='*'") && !words.contains("NOT VERIFIED"), "{words}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_found_after_a_restart_is_not_acknowledged_before_a_standby_has_it() {
    let server = Waiting::start();
    let url = server.url();
    let store = open_at(&url, true).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    server.standby.freeze();
    let (appending, next) = (store.clone(), batch([commit(2).on("tally:a", 1, 1)]));
    let appended = tokio::spawn(async move { appending.append(next).await });
    let flushed = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    until("a wait for the standby", async || server.primary.sql(flushed) != "0").await;
    server.primary.stop_immediately();
    assert!(matches!(appended.await.unwrap(), Err(StoreError::OutcomeUnknown(_))));
    server.primary.start();
    assert_eq!(log(&*store).await.len(), 2, "it can be read");
    let found = server.only_with_the_standby(|| append(&store, 2, 1)).await;
    assert!(matches!(found.as_slice(), [Outcome::Duplicate(_)]), "{found:?}");
    store.close().await;
}

/// Views can be made again: they continue while there is no standby.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commits_of_views_do_not_wait_for_a_standby() {
    let server = Waiting::start();
    let url = server.url();
    let store = open_at(&url, true).await.unwrap();
    let (generation_id, none) = store.views().live("roster", 1).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let at = store.head().await.unwrap();
    server.standby.freeze();
    let step = async {
        store.views().begin(&generation_id, none, at).await.unwrap().unwrap().commit().await.unwrap();
        store
            .views()
            .acquire_leases(uuid::Uuid::from_u128(1), &[("roster".to_owned(), 1)], PATIENCE)
            .await
            .unwrap();
    };
    tokio::time::timeout(PATIENCE, step).await.expect("no wait");
    server.standby.thaw();
    store.close().await;
}

/// Guarantee 49: a batch of a projection may have been read from a primary whose last events were lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_does_not_move_to_an_event_that_the_log_does_not_hold() {
    let bed = super::Bed::new();
    let store = bed.open().await;
    let (generation_id, none) = store.views().live("roster", 1).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let at = store.head().await.unwrap();
    let other = crate::events::LogPosition { event_id: uuid::Uuid::from_u128(7), ..at };
    let beyond = crate::events::LogPosition { position: 2, ..other };
    for lost in [other, beyond] {
        assert!(store.views().begin(&generation_id, none, lost).await.unwrap().is_none(), "{lost:?}");
    }
    store.views().begin(&generation_id, none, at).await.unwrap().unwrap().commit().await.unwrap();
    assert!(store.views().begin(&generation_id, at, beyond).await.unwrap().is_none());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_is_noticed_also_after_one_that_was_not_watched_for() {
    // PostgreSQL warns that there is no transaction.
    const WARNS: &str = "ROLLBACK";
    let mut raw = super::Bed::new().raw().await;
    let (_, warned) = notices::watch(raw.execute("SELECT 1")).await;
    assert!(!warned);
    raw.execute(WARNS).await.unwrap();
    let (_, warned) = notices::watch(raw.execute(WARNS)).await;
    assert!(warned);
}
