//! Feeds to NATS JetStream.

use annals::feeds::{Feed, Nats, Since};
use annals::prelude::*;
use annals_test_postgres::Place;
use async_nats::jetstream::message::StreamMessage;

use crate::brokers::NatsServer;
use crate::desk::*;

/// A sink to the stream `ALL` of a server.
pub fn all(url: &str) -> Nats {
    Nats::new(url).stream("ALL").subject("all")
}

/// All messages of the stream, by sequence.
pub async fn stored(server: &NatsServer) -> Vec<StreamMessage> {
    let stream = server.context().await.get_stream("ALL").await.unwrap();
    let state = stream.cached_info().state.clone();
    let mut messages = Vec::new();
    for sequence in state.first_sequence..=state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    messages
}

pub fn header<'a>(message: &'a StreamMessage, name: &str) -> &'a str {
    message.headers.get(name).unwrap().as_str()
}

/// Checks, as a receiver does, that the stream has each event of the log at its position. Returns the number of events.
pub async fn assert_each_at_its_position(server: &NatsServer, annals: &Annals) -> u64 {
    has_sent_all(annals).await;
    let (messages, events) = (stored(server).await, annals.events(0, 100_000).await.unwrap().events);
    assert_eq!(messages.len(), events.len());
    for (message, event) in messages.iter().zip(&events) {
        let position = event.position.to_string();
        assert_eq!((message.sequence, header(message, "Annals-Position")), (event.position, position.as_str()));
        assert_eq!(header(message, "Nats-Msg-Id"), event.event_id.to_string());
        assert_eq!(header(message, "Annals-Previous"), (event.position - 1).to_string());
    }
    messages.len() as u64
}

/// Mission X19.
pub async fn the_stream_of_a_whole_log_has_each_event_at_its_position(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    // More than a page, and with the start of the feed.
    write(&annals, 300).await;
    assert_eq!(assert_each_at_its_position(&server, &annals).await, 301);
    let status = status(&annals).await;
    assert_eq!((status.lag, status.last_sent, status.leads, status.failures), (0, 301, true, 0), "{status:?}");
    assert_eq!((status.problem, status.paused, status.question.len()), (None, None, 0));
    annals.close().await;

    // Another start continues after what was confirmed.
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 10).await;
    assert_eq!(assert_each_at_its_position(&server, &annals).await, 311);
    annals.close().await;
}

/// Mission A5: one structure from the broker to the API.
pub async fn a_message_is_byte_for_byte_the_event_of_an_export_and_of_the_http_api(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let annals = feeding(all(&server.url())).open(place.url()).await.unwrap();
    write(&annals, 20).await;
    assert_each_at_its_position(&server, &annals).await;
    let sent: Vec<String> = stored(&server)
        .await
        .into_iter()
        .map(|message| String::from_utf8(message.payload.to_vec()).unwrap())
        .collect();
    assert_eq!(sent, exported(&annals).await);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = annals::http::router(annals.clone()).name("desk");
    let router =
        router.authentication(annals::http::Authentication::trusting(Some(Ref::new("user", "ann").unwrap())));
    let serving = tokio::spawn(annals::http::serve(listener, router.into_router(), std::future::pending()));
    let answer = reqwest::get(format!("http://{address}/audit/export?format=cloudevents")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(lines(&answer.text().await.unwrap()), sent);
    serving.abort();
    annals.close().await;
}

pub async fn a_feed_with_a_question_sends_what_matches_in_order(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let feed = || Feed::new("stamps").ask(|audit| audit.topic("paper/stamp")).since(Since::Beginning);
    let app = || desk().feed(feed().to(all(&server.url())));
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, 30).await;
    has_sent_all(&annals).await;
    annals.close().await;
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, 30).await;
    has_sent_all(&annals).await;
    let log = annals.events(0, 1_000).await.unwrap().events;
    let stamps = log.iter().filter(|event| event.event_type == "desk.stamped");
    let expected: Vec<u64> = stamps.map(|event| event.position).collect();
    let sent = stored(&server).await;
    let number = |message: &StreamMessage, name: &str| header(message, name).parse::<u64>().unwrap();
    let positions: Vec<u64> = sent.iter().map(|message| number(message, "Annals-Position")).collect();
    assert_eq!((positions.len(), &positions), (20, &expected));
    // A receiver finds gaps by the position of the message before.
    let previous: Vec<u64> = sent.iter().map(|message| number(message, "Annals-Previous")).collect();
    assert_eq!(previous, [&[0], &expected[..19]].concat());
    assert_eq!(status(&annals).await.question["topic"], ["paper/stamp"]);
    annals.close().await;
}

pub async fn a_new_feed_begins_now(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    let annals = desk().open(place.url()).await.unwrap();
    write(&annals, 7).await;
    annals.close().await;
    server.create("ALL", 8).await;
    let annals = desk().feed(Feed::new("all").to(all(&server.url()))).open(place.url()).await.unwrap();
    write(&annals, 3).await;
    has_sent_all(&annals).await;
    let sequences: Vec<u64> = stored(&server).await.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, [8, 9, 10, 11]);
    annals.close().await;
}

pub async fn two_programs_send_each_event_once(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let one = feeding(all(&server.url())).open(place.url()).await.unwrap();
    let two = feeding(all(&server.url())).open(place.url()).await.unwrap();
    let (first, second) = (write(&one, 200), write(&two, 200));
    tokio::join!(first, second);
    has_sent_all(&one).await;
    let leads = [status(&one).await.leads, status(&two).await.leads];
    assert_eq!(leads.iter().filter(|leads| **leads).count(), 1, "one of them sends");
    assert_eq!(status(&one).await.leader, status(&two).await.leader);
    // The other one takes over.
    let (leaving, staying) = if leads[0] { (one, two) } else { (two, one) };
    leaving.close().await;
    write(&staying, 20).await;
    assert_eq!(assert_each_at_its_position(&server, &staying).await, 421);
    staying.close().await;
}
