//! What operators see of feeds, and pausing, resuming and moving them.

use std::process::ExitCode;
use std::time::Duration;

use annals::feeds::{Feed, FeedError, Nats, RabbitMq, Webhook};
use annals::prelude::*;
use annals_test_postgres::Place;
use serde_json::{Value, json};

use crate::desk::*;
use crate::receiver::{Receiver, SECRET};

fn app(receiver: &Receiver) -> App {
    feeding(Webhook::new(receiver.url()).secret(SECRET))
}

fn positions(receiver: &Receiver) -> Vec<u64> {
    receiver.taken.lock().unwrap().iter().map(|message| message.position).collect()
}

pub async fn a_feed_is_paused_resumed_and_moved(place: &Place) {
    let receiver = Receiver::start(Vec::new()).await;
    let annals = app(&receiver).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    has_sent_all(&annals).await;
    annals.pause_feed("all", "they move", &by("ann")).await.unwrap();
    assert_eq!(status(&annals).await.paused.as_deref(), Some("they move"));
    // The pause is an event too, and may still be sent.
    tokio::time::sleep(Duration::from_millis(100)).await;
    write(&annals, 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(positions(&receiver).len() <= 5, "{:?}", positions(&receiver));
    annals.resume_feed("all", None, "they have moved", &by("ann")).await.unwrap();
    has_sent_all(&annals).await;
    assert_eq!(positions(&receiver), (1..=9).collect::<Vec<u64>>());

    // Moved back, it sends again; moved ahead, it leaves out.
    annals.resume_feed("all", Some(8), "they lost some", &by("ann")).await.unwrap();
    until(async || positions(&receiver).len() == 12).await;
    assert_eq!(positions(&receiver)[9..], [8, 9, 10]);
    let previous: Vec<u64> = receiver.taken.lock().unwrap()[9..].iter().map(|message| message.previous).collect();
    assert_eq!(previous, [0, 8, 9]);
    annals.close().await;
    // A move that was applied is not applied a second time.
    let annals = app(&receiver).open(place.url()).await.unwrap();
    annals.pause_feed("all", "to move it", &by("ann")).await.unwrap();
    until(async || status(&annals).await.leads).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let sent = positions(&receiver).len();
    write(&annals, 3).await;
    annals.resume_feed("all", Some(14), "the others are not wanted", &by("ann")).await.unwrap();
    until(async || positions(&receiver).last() == Some(&15)).await;
    assert_eq!(positions(&receiver)[sent..], [14, 15]);
    annals.close().await;
}

async fn run(receiver: &Receiver, arguments: &[&str], place: &Place) -> bool {
    let arguments = [&["desk", "feeds"], arguments, &["--store", place.url()]].concat();
    format!("{:?}", app(receiver).main_with(arguments).await) == format!("{:?}", ExitCode::SUCCESS)
}

/// Mission X66.
pub async fn the_command_line_and_http_show_and_operate_feeds(place: &Place) {
    let receiver = Receiver::start(Vec::new()).await;
    let annals = desk().open(place.url()).await.unwrap();
    write(&annals, 1).await;
    let before = head(&annals).await;
    assert!(run(&receiver, &["status"], place).await);
    assert_eq!(head(&annals).await, before, "showing a feed starts it");
    annals.close().await;

    let annals = app(&receiver).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    has_sent_all(&annals).await;
    assert!(run(&receiver, &["status", "--format", "json"], place).await);
    assert!(run(&receiver, &["pause", "all", "--why", "they move", "--as", "user:bob"], place).await);
    for refused in [
        &["pause", "none", "--why", "they move", "--as", "user:bob"][..],
        &["pause", "all", "--why", " ", "--as", "user:bob"],
        &["pause", "all", "--why", "they move"],
        &["resume", "all", "--why", "w", "--from", "0", "--as", "user:bob"],
        &["resume", "all", "--why", "w", "--from", "1000", "--as", "user:bob"],
    ] {
        assert!(!run(&receiver, refused, place).await, "{refused:?}");
    }
    assert_eq!(status(&annals).await.paused.as_deref(), Some("they move"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = annals::http::router(annals.clone());
    let router =
        router.authentication(annals::http::Authentication::trusting(Some(Ref::new("user", "ann").unwrap())));
    let serving = tokio::spawn(annals::http::serve(listener, router.into_router(), std::future::pending()));
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let answer = client.post(format!("http://{address}{path}")).json(&body).send().await.unwrap();
        answer.status().as_u16()
    };
    let get =
        async |path: &str| reqwest::get(format!("http://{address}{path}")).await.unwrap().text().await.unwrap();
    let shown: Value = serde_json::from_str(&get("/feeds").await).unwrap();
    assert_eq!((shown[0]["name"].as_str(), shown[0]["paused"].as_str()), (Some("all"), Some("they move")));
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    assert!(get("/metrics").await.contains("annals_feed_paused{feed=\"all\"} 1.0"));
    assert_eq!(post("/feeds/all/resume", json!({ "why": "w" })).await, 200);
    assert_eq!(post("/feeds/none/resume", json!({ "why": "w" })).await, 404);
    assert_eq!(post("/feeds/all/resume", json!({ "why": "w", "from": 1_000 })).await, 400);
    assert_eq!(post("/feeds/all/pause", json!({ "why": "" })).await, 400);
    assert_eq!(post("/feeds/all/pause", json!({ "why": "w", "more": 1 })).await, 400);
    has_sent_all(&annals).await;
    let metrics = get("/metrics").await;
    let position = head(&annals).await;
    assert!(metrics.contains(&format!("annals_feed_last_sent_position{{feed=\"all\"}} {position}.0")), "{metrics}");
    assert!(metrics.contains("annals_feed_lag_events{feed=\"all\"} 0.0"), "{metrics}");
    serving.abort();
    annals.close().await;
}

pub async fn an_unsound_feed_is_refused(place: &Place) {
    let hook = || Webhook::new("http://localhost/s3cret").secret(SECRET);
    let nats = || Nats::new("nats://ann:s3cret@localhost");
    for (feed, problem) in [
        (Feed::new("A").to(hook()), "lower-case letters"),
        (Feed::new("a"), "has no sink"),
        (Feed::new("a").to(Webhook::new("http://localhost/s3cret")), "whsec_"),
        (Feed::new("a").to(nats()), "say `.stream(…)`"),
        (Feed::new("a").to(nats().stream("A").subject("a.*")), "without wildcards"),
        (Feed::new("a").to(Nats::new("localhost").stream("A").subject("a")), "nats://"),
        (Feed::new("a").to(RabbitMq::new("amqp://ann:s3cret@localhost")), ".exchange"),
        (Feed::new("a").to(RabbitMq::new("http://localhost").exchange("a")), "amqp://"),
    ] {
        let refused = desk().feed(feed).check().unwrap_err().to_string();
        assert!(refused.contains(problem) && !refused.contains("s3cret"), "{refused}");
    }
    let twice = desk().feed(Feed::new("a").to(hook())).feed(Feed::new("a").to(hook()));
    assert!(twice.check().unwrap_err().to_string().contains("two feeds have the name `a`"));
    for (feed, problem) in [
        (Feed::new("a").ask(|audit| audit.topic("papers")), "papers"),
        (Feed::new("a").ask(|audit| audit.by_occurrence()), "occurrence"),
    ] {
        let refused = desk().feed(feed.to(hook())).open(place.url()).await.err().unwrap();
        let source = std::error::Error::source(&refused).unwrap().to_string();
        assert!(source.contains(problem), "{source}");
    }
    let annals = desk().open(place.url()).await.unwrap();
    let unknown = annals.pause_feed("a", "w", &by("ann")).await;
    assert!(matches!(unknown, Err(FeedError::Unknown { .. })), "{unknown:?}");
    assert_eq!(annals.feeds().await.unwrap(), []);
    annals.close().await;
}
