//! Feeds under faults: the process that sends and its broker are killed in turn, while commands go on.

use std::time::{Duration, Instant};

use annals::events::Stored;
use annals::feeds::{Feed, Nats, RabbitMq, Since};
use annals::prelude::*;
use annals_test_postgres::Place;
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::bank::*;
use crate::brokers::{NatsServer, RabbitBroker};
use crate::processes::Process;
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    killed_brokers_and_processes_leave_each_event_once_in_the_stream,
    killed_brokers_and_processes_leave_each_event_in_the_queue_in_order,
);

/// The application with a feed of the whole log to this broker.
pub fn app_with_feed(url: &str) -> App {
    let feed = Feed::new("all").since(Since::Beginning);
    app().feed(match url.starts_with("nats") {
        true => feed.to(Nats::new(url).stream("ALL").subject("all")),
        false => feed.to(RabbitMq::new(url).exchange("events").queue("auditor")),
    })
}

/// What a test does to a broker.
trait Broker {
    /// The pause between two commands in milliseconds: one that needs many seconds for a restart finds no more than can be sent soon.
    const PAUSE: u64;
    /// Waits until it would find its queue again, as far as it is the broker that is slow with it.
    fn wait_until_kept(&self) {}
    fn kill(&mut self);
    fn restart(&mut self);
    fn url(&self) -> String;
}

impl Broker for NatsServer {
    const PAUSE: u64 = 0;

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }

    fn url(&self) -> String {
        Self::url(self)
    }
}

impl Broker for RabbitBroker {
    const PAUSE: u64 = 20;

    fn wait_until_kept(&self) {
        Self::wait_until_kept(self, "auditor");
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }

    fn url(&self) -> String {
        Self::url(self)
    }
}

/// Kills the process and the broker in turn, at random moments. Then lets a process send what is left. Returns the log.
async fn kill_in_turn<B: Broker>(place: &Place, broker: &mut B, rounds: u64) -> Vec<Stored> {
    let mut next = 0;
    for _ in 0..rounds {
        let mut process = Process::start(place.url(), &format!("feed 0 {next} {} {}", broker.url(), B::PAUSE));
        process.wait_until_it_speaks();
        tokio::task::block_in_place(|| broker.wait_until_kept());
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        broker.kill();
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        tokio::task::block_in_place(|| broker.restart());
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        let said = process.kill();
        let acknowledged = said.iter().filter_map(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
        next = acknowledged.max().map_or(next, |n| n + 1);
    }
    assert!(next > 0, "nothing was written");
    let annals = app_with_feed(&broker.url()).open(place.url()).await.unwrap();
    let head = annals.store().head().await.unwrap().position;
    // After many rounds there is much to send.
    let (mut sent, mut since) = (0, Instant::now());
    while sent < head {
        let status = annals.feeds().await.unwrap().remove(0);
        if status.position > sent {
            (sent, since) = (status.position, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_secs(120), "nothing more is sent: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut log, mut after) = (Vec::new(), 0);
    while after < head {
        let page = annals.events(after, 10_000).await.unwrap();
        after = page.to.position;
        log.extend(page.events);
    }
    annals.close().await;
    log
}

/// Guarantee 31.
async fn killed_brokers_and_processes_leave_each_event_once_in_the_stream(place: &Place) {
    let Some(mut server) = NatsServer::start() else { return };
    server.create("ALL", 1).await;
    let log = kill_in_turn(place, &mut server, rounds(4)).await;
    let stream = server.context().await.get_stream("ALL").await.unwrap();
    assert_eq!(stream.cached_info().state.last_sequence, log.len() as u64);
    for event in &log {
        let message = stream.get_raw_message(event.position).await.unwrap();
        assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), event.event_id.to_string());
    }
}

/// Guarantee 31: after the receiver's own check, by the position of the message before.
async fn killed_brokers_and_processes_leave_each_event_in_the_queue_in_order(place: &Place) {
    let Some(mut broker) = RabbitBroker::start() else { return };
    let log = kill_in_turn(place, &mut broker, rounds(1)).await;
    let connection =
        lapin::Connection::connect(&broker.url(), lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
    let consuming =
        channel.basic_consume("auditor".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = consuming.await.unwrap();
    let mut taken = 0;
    while taken < log.len() {
        let next = tokio::time::timeout(Duration::from_secs(60), deliveries.next()).await.expect("a message");
        let delivery = next.unwrap().unwrap();
        let number = |name: &str| match delivery.properties.headers().as_ref().unwrap().inner().get(name) {
            Some(AMQPValue::LongLongInt(number)) => usize::try_from(*number).unwrap(),
            other => panic!("{name}: {other:?}"),
        };
        if number("previous") == taken {
            let id = delivery.properties.message_id().as_ref().unwrap().to_string();
            assert_eq!((number("position"), id), (taken + 1, log[taken].event_id.to_string()));
            taken += 1;
        } else {
            assert!(number("position") <= taken, "a gap after {taken}");
        }
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
}
