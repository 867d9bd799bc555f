//! A log that is an older backup.

use annals::feeds::Webhook;
use annals_test_postgres::Place;

use crate::desk::*;
use crate::receiver::{Receiver, SECRET};

/// The log and the tables of projections are files of their own: the tables are newer than the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_of_an_older_log_stops_and_says_so() {
    let place = Place::sqlite();
    let receiver = Receiver::start(Vec::new()).await;
    let app = || feeding(Webhook::new(receiver.url()).secret(SECRET));
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, 5).await;
    has_sent_all(&annals).await;
    annals.close().await;
    let file = place.url().replace("sqlite://", "");
    let saved = std::fs::read(&file).unwrap();
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, 5).await;
    has_sent_all(&annals).await;
    annals.close().await;
    for journal in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{file}{journal}"));
    }
    std::fs::write(&file, saved).unwrap();
    let annals = app().open(place.url()).await.unwrap();
    let stopped = says(&annals, "the log no longer holds event 11").await;
    assert!(stopped.problem.unwrap().stopped);
    for (name, rebuild) in annals.rebuild_all(annals::projections::SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    write(&annals, 2).await;
    assert_eq!(receiver.taken.lock().unwrap().len(), 11, "nothing is sent");
    // Somebody has looked, and says from where.
    annals.resume_feed("all", Some(7), "the receiver was asked", &by("ann")).await.unwrap();
    until(async || receiver.taken.lock().unwrap().len() >= 14).await;
    let positions: Vec<u64> = receiver.taken.lock().unwrap()[11..].iter().map(|message| message.position).collect();
    assert_eq!(positions, [7, 8, 9]);
    annals.close().await;
}
