//! A process that cannot know whether rights still hold ends what depends on them. One whose log is idle does not.

use std::time::{Duration, Instant};

use annals::http::Authentication;
use annals_test_postgres::{Place, both_stores};

use crate::bank::by;
use crate::followers::{By, Followers, Identity};
use crate::rights::{grant_all, guarded, transfer};
use crate::server::Server;
use crate::unreliable::{Reads, Unreliable};

both_stores! {
    streams_end_with_a_cursor_two_seconds_after_the_last_answer_of_the_store,
    an_idle_log_ends_no_stream,
}

/// A server for user:bob, with the right to follow.
async fn served(store: &std::sync::Arc<Unreliable>) -> (Server, Identity) {
    let annals = guarded().open_on(store.clone()).await.unwrap();
    let trusting = Authentication::trusting("user:bob".parse().ok());
    let server = Server::serve(annals, "127.0.0.1:0", trusting).await;
    grant_all(&server.annals, "bob").await;
    transfer(&server.annals).await;
    (server, Identity { context: by("bob"), token: None })
}

/// Guarantee 25: otherwise a process that is cut off from the store streams on after a revocation.
async fn streams_end_with_a_cursor_two_seconds_after_the_last_answer_of_the_store(place: &Place) {
    let store = Unreliable::open(place.url()).await;
    let (server, bob) = served(&store).await;
    for reads in [Reads::Failing, Reads::Frozen] {
        // The metric itself is read every second, and fails at once.
        let all: Vec<By> = By::ALL.into_iter().filter(|by| by.is_audit() || reads == Reads::Frozen).collect();
        let followers = Followers::open_some(&server, &bob, &all).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let silent = Instant::now();
        store.reads(reads);
        for end in followers.ends().await {
            let after = end.at.duration_since(silent);
            let bounds = Duration::from_millis(1_000)..Duration::from_millis(2_500);
            assert!(bounds.contains(&after), "{reads:?}: {end:?} after {after:?}");
            let failed = end.reason == "unconfirmed" || end.reason == "failed";
            // The one that reads the metric may fail by itself.
            let why = !end.by.is_audit() || end.detail.contains("not certain");
            assert!(failed && why, "{reads:?}: {end:?}");
            assert!(end.cursor.is_some() || end.by == By::MetricLibrary, "{reads:?}: {end:?}");
        }
        store.reads(Reads::Answered);
    }
    // A reader that does not depend on rights is not affected: alice is an owner by the application.
    let owner = server.annals.read_as(&by("alice")).audit().topic("bank/transfer").follow();
    let mut owner = std::pin::pin!(owner);
    for _ in 0..2 {
        assert!(futures::StreamExt::next(&mut owner).await.unwrap().is_ok());
    }
    store.reads(Reads::Frozen);
    let next = tokio::time::timeout(Duration::from_secs(3), futures::StreamExt::next(&mut owner)).await;
    assert!(next.is_err(), "{next:?}");
    store.reads(Reads::Answered);
    server.stop().await;
}

async fn an_idle_log_ends_no_stream(place: &Place) {
    let store = Unreliable::open(place.url()).await;
    let (server, bob) = served(&store).await;
    let followers = Followers::open(&server, &bob).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(followers.are_open(), "{:?}", followers.ends().await);
    drop(followers);
    server.stop().await;
}
