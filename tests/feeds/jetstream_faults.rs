//! A NATS server that fails, and streams that are not as expected.

use std::time::Duration;

use annals::feeds::Nats;
use annals_test_postgres::{Place, certificate};
use async_nats::jetstream::stream::{Config, DiscardPolicy};

use crate::brokers::{NatsServer, stream};
use crate::cutting::Cutting;
use crate::desk::*;
use crate::jetstream::*;

/// Mission A2: the producer is not slowed.
pub async fn while_the_broker_is_down_commands_go_on_and_the_backlog_drains_in_order(place: &Place) {
    let Some(mut server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 20).await;
    has_sent_all(&annals).await;
    server.kill();
    let began = std::time::Instant::now();
    write(&annals, 400).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "commands wait for the broker: {took:?}");
    let failing = says(&annals, "127.0.0.1").await;
    assert!(failing.lag >= 400 && failing.failures >= 2, "{failing:?}");
    assert!(!failing.problem.unwrap().stopped);
    server.restart();
    assert_eq!(assert_each_at_its_position(&server, &annals).await, 421);
    until(async || status(&annals).await.problem.is_none()).await;
    annals.close().await;
}

/// Guarantee 31.
pub async fn a_lost_acknowledgement_leaves_each_event_once(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let proxy = Cutting::before(server.port, "\"seq\":", 3).await;
    let annals = feeding(all(&format!("nats://127.0.0.1:{}", proxy.port))).open(place.url()).await.unwrap();
    for _ in 0..4 {
        write(&annals, 25).await;
        has_sent_all(&annals).await;
    }
    assert_eq!(proxy.left.load(std::sync::atomic::Ordering::SeqCst), 0, "no acknowledgement was lost");
    assert!(status(&annals).await.failures >= 3);
    assert_eq!(assert_each_at_its_position(&server, &annals).await, 101);
    annals.close().await;
}

/// Guarantee 31.
pub async fn a_message_of_another_sender_stops_a_feed(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 5).await;
    has_sent_all(&annals).await;
    server.context().await.publish("all", "somebody else".into()).await.unwrap().await.unwrap();
    write(&annals, 5).await;
    let stopped = says(&annals, "a message at sequence 7 that is not of this log").await;
    assert!(stopped.problem.unwrap().stopped);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stored(&server).await.len(), 7, "nothing is sent after it");

    // Resumed without a change, it stops again; the message removed, it cannot be in order any more.
    annals.resume_feed("all", None, "try again", &by("ann")).await.unwrap();
    until(async || status(&annals).await.failures > stopped.failures).await;
    assert!(says(&annals, "not of this log").await.problem.unwrap().stopped);
    annals.close().await;
}

/// Guarantee 31.
pub async fn a_stream_that_lost_what_it_confirmed_stops_a_feed(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 5).await;
    has_sent_all(&annals).await;
    annals.close().await;
    server.context().await.delete_stream("ALL").await.unwrap();
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 5).await;
    let stopped = says(&annals, "a new one is created with first_seq 7").await;
    assert!(stopped.problem.unwrap().stopped);
    server.context().await.delete_stream("ALL").await.unwrap();
    server.create("ALL", 7).await;
    annals.resume_feed("all", None, "there is a new stream", &by("ann")).await.unwrap();
    has_sent_all(&annals).await;
    let sequences: Vec<u64> = stored(&server).await.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, (7..=12).collect::<Vec<u64>>());
    annals.close().await;
}

/// Mission X66.
pub async fn what_a_server_refuses_is_shown_without_credentials_and_tried_again(place: &Place) {
    let users = "authorization { users: [{ user: annals, password: \"s3cret\" }] }";
    let Some(server) = NatsServer::start_with(users) else { return };
    let url = |password: &str| format!("nats://annals:{password}@127.0.0.1:{}", server.port);
    let annals = feeding(all(&url("wr0ng"))).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    let said = says(&annals, "refuses the credentials").await;
    assert!(!format!("{said:?}").contains("wr0ng"), "{said:?}");
    annals.close().await;

    let annals = feeding(all(&url("s3cret"))).open(place.url()).await.unwrap();
    let said = says(&annals, "has no stream `ALL`").await;
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    let client = async_nats::ConnectOptions::with_user_and_password("annals".into(), "s3cret".into());
    let context = async_nats::jetstream::new(client.connect(server.url()).await.unwrap());
    context.create_stream(stream("ALL", 1)).await.unwrap();
    has_sent_all(&annals).await;
    until(async || status(&annals).await.problem.is_none()).await;
    annals.close().await;
    drop(server);

    // A certificate that nobody trusts.
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(folder.path());
    let tls = format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}");
    let Some(server) = NatsServer::start_with(&tls) else { return };
    let secure = |trusted: bool| {
        let sink = Nats::new(format!("tls://127.0.0.1:{}", server.port)).stream("ALL").subject("all");
        if trusted { sink.certificate_authority(certificate.as_str()) } else { sink }
    };
    let annals = feeding(secure(false)).open(place.url()).await.unwrap();
    write(&annals, 1).await;
    says(&annals, "invalid peer certificate").await;
    annals.close().await;
    let annals = feeding(secure(true)).open(place.url()).await.unwrap();
    says(&annals, "has no stream `ALL`").await;
    annals.close().await;
}

pub async fn a_full_stream_loses_nothing(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    let config = |max_bytes| Config { max_bytes, discard: DiscardPolicy::New, ..stream("ALL", 1) };
    server.create_as(config(20_000)).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 100).await;
    let full = says(&annals, "maximum bytes exceeded").await;
    assert!(full.position < 100 && !full.problem.unwrap().stopped);
    write(&annals, 10).await;
    server.context().await.update_stream(config(10_000_000)).await.unwrap();
    assert_eq!(assert_each_at_its_position(&server, &annals).await, 111);
    annals.close().await;
}
