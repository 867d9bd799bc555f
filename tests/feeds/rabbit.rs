//! Feeds to RabbitMQ.

use std::time::Duration;

use annals::feeds::RabbitMq;
use annals_test_postgres::Place;
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};

use crate::brokers::RabbitBroker;
use crate::desk::*;

fn number(delivery: &Delivery, name: &str) -> u64 {
    match delivery.properties.headers().as_ref().unwrap().inner().get(name) {
        Some(AMQPValue::LongLongInt(number)) => u64::try_from(*number).unwrap(),
        other => panic!("{name}: {other:?}"),
    }
}

/// A receiver that takes a message only if it follows the last one that it took: whatever else comes is a repeat. Returns the bodies
/// that it took up to this position, and the number of repeats.
async fn receive(url: &str, last: u64) -> (Vec<String>, u64) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
    let consuming =
        channel.basic_consume("auditor".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = consuming.await.unwrap();
    let (mut taken, mut at, mut repeats) = (Vec::new(), 0, 0);
    while at < last {
        let next = tokio::time::timeout(Duration::from_secs(60), deliveries.next()).await.expect("a message");
        let delivery = next.unwrap().unwrap();
        assert_eq!(*delivery.properties.delivery_mode(), Some(2), "it is persistent");
        if number(&delivery, "previous") == at {
            at = number(&delivery, "position");
            let body = String::from_utf8(delivery.data.clone()).unwrap();
            let id = delivery.properties.message_id().as_ref().unwrap().to_string();
            assert!(body.contains(&format!("\"id\":\"{id}\"")), "{body}");
            assert!(body.contains(&format!("\"type\":\"{}\"", delivery.routing_key)), "{body}");
            taken.push(body);
        } else {
            assert!(number(&delivery, "position") <= at, "a gap after {at}");
            repeats += 1;
        }
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    (taken, repeats)
}

/// Mission X19.
pub async fn rabbitmq_gets_each_event_in_order(place: &Place) {
    let Some(broker) = RabbitBroker::start() else { return };
    let wrong = broker.url().replace("guest:guest", "guest:s3cret");
    let annals = feeding(RabbitMq::new(wrong).exchange("events")).open(place.url()).await.unwrap();
    write(&annals, 5).await;
    let said = says(&annals, "ACCESS").await;
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    annals.close().await;
    // A certificate that nobody trusts.
    let secure = || RabbitMq::new(broker.tls_url()).exchange("events");
    let annals = feeding(secure()).open(place.url()).await.unwrap();
    says(&annals, "invalid peer certificate").await;
    annals.close().await;
    // Without a queue nothing is confirmed.
    let secure = || secure().certificate_authority(broker.certificate.as_str());
    let annals = feeding(secure()).open(place.url()).await.unwrap();
    let said = says(&annals, "bind a queue to it").await;
    assert_eq!(said.last_sent, 0);
    annals.close().await;

    let sink = || RabbitMq::new(broker.url()).exchange("events").queue("auditor");
    let annals = feeding(sink()).open(place.url()).await.unwrap();
    write(&annals, 300).await;
    has_sent_all(&annals).await;
    write(&annals, 50).await;
    annals.close().await;
    // It continues where it was, also with TLS.
    let annals = feeding(secure().queue("auditor")).open(place.url()).await.unwrap();
    write(&annals, 50).await;
    has_sent_all(&annals).await;
    let (taken, _) = receive(&broker.url(), head(&annals).await).await;
    assert_eq!(taken, exported(&annals).await);
    annals.close().await;
}

/// Mission X19. A broker whose disk has too little room confirms nothing, until there is more.
pub async fn a_full_disk_of_rabbitmq_loses_nothing(place: &Place) {
    let Some(broker) = RabbitBroker::start() else { return };
    let sink = RabbitMq::new(broker.url()).exchange("events").queue("auditor");
    let annals = feeding(sink).open(place.url()).await.unwrap();
    write(&annals, 20).await;
    has_sent_all(&annals).await;
    tokio::task::block_in_place(|| broker.require_free_disk("900000GB"));
    let before = status(&annals).await.last_sent;
    write(&annals, 30).await;
    let said = says(&annals, "short of memory or disk").await;
    assert_eq!(said.last_sent, before, "nothing counts as sent");
    tokio::task::block_in_place(|| broker.require_free_disk("10MB"));
    has_sent_all(&annals).await;
    let (taken, _) = receive(&broker.url(), head(&annals).await).await;
    assert_eq!(taken, exported(&annals).await);
    annals.close().await;
}

/// Guarantee 31: what a broker confirmed of a queue that was just made survives its end.
pub async fn a_broker_killed_at_its_first_confirmation_keeps_what_it_confirmed(place: &Place) {
    let Some(mut broker) = RabbitBroker::start() else { return };
    let sink = RabbitMq::new(broker.url()).exchange("events").queue("auditor");
    let annals = feeding(sink).open(place.url()).await.unwrap();
    write(&annals, 20).await;
    until(|| async { status(&annals).await.last_sent > 0 }).await;
    tokio::task::block_in_place(|| {
        broker.kill();
        broker.restart();
    });
    write(&annals, 20).await;
    has_sent_all(&annals).await;
    let (taken, _) = receive(&broker.url(), head(&annals).await).await;
    assert_eq!(taken, exported(&annals).await);
    annals.close().await;
}
