//! Intakes under faults: the process that receives and its broker are killed in turn, while messages are published.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use annals::commands::Envelope;
use annals::intakes::{CloudEvent, Intake, NatsStream, RabbitQueue};
use annals::prelude::*;
use annals_test_postgres::Place;
use async_nats::jetstream::stream::Config;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::{Value, json};

use crate::bank::*;
use crate::brokers::{NatsServer, RabbitBroker};
use crate::processes::{Process, say};
use crate::{random, rounds};

annals_test_postgres::both_stores!(
    killed_brokers_and_processes_execute_each_message_of_a_stream_once_and_in_order,
    killed_brokers_and_processes_execute_each_message_of_a_queue_once_and_in_order,
    a_process_stopped_past_its_lease_executes_no_message_twice_or_out_of_order,
);

/// How many subjects the messages are about.
const SUBJECTS: u64 = 5;

/// Each message is a deposit, of as many cents as its number.
fn deposited(event: &CloudEvent) -> Result<Envelope, BoxError> {
    let account = event.subject().ok_or("it has no subject")?;
    Ok(event.command(deposit(account, event.data()?), Ref::new("user", "publisher")?))
}

/// The application with an intake from this broker.
pub fn app_with_intake(url: &str) -> App {
    let intake = Intake::new("deposits", deposited);
    app().intake(match url.starts_with("nats") {
        true => intake.from(NatsStream::new(url).stream("IN")),
        false => intake.from(RabbitQueue::new(url).queue("in")),
    })
}

/// A process that receives, and says so for each message that it has received.
pub async fn receive(annals: &Annals) {
    let mut received = 0;
    loop {
        let now = annals.intakes().await.unwrap()[0].received;
        if now > received {
            received = now;
            say(format!("received {received}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn message(number: u64) -> Vec<u8> {
    let subject = (number % SUBJECTS).to_string();
    let message = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "/test", "type": "deposited", "subject": subject, "data": number,
    });
    message.to_string().into_bytes()
}

/// What a test does to a broker.
trait Broker {
    /// Waits until it would find its queue again, as far as it is the broker that is slow with it.
    fn wait_until_kept(&self) {}
    fn kill(&mut self);
    fn restart(&mut self);
    fn url(&self) -> String;
    async fn publisher(&self) -> Option<Publisher>;
}

/// Publishes, and waits for the confirmation.
enum Publisher {
    Nats(async_nats::jetstream::Context),
    Rabbit(Channel, #[allow(dead_code, reason = "it keeps the connection")] Connection),
}

impl Publisher {
    async fn publish(&self, body: Vec<u8>) -> bool {
        let publishing = async {
            match self {
                Self::Nats(context) => match context.publish("in.a", body.into()).await {
                    Ok(ack) => ack.await.is_ok(),
                    Err(_) => false,
                },
                Self::Rabbit(channel, _) => {
                    let properties = BasicProperties::default().with_delivery_mode(2);
                    let options = BasicPublishOptions::default();
                    match channel.basic_publish("".into(), "in".into(), options, &body, properties).await {
                        Ok(confirm) => confirm.await.is_ok_and(|confirmed| confirmed.is_ack()),
                        Err(_) => false,
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(3), publishing).await.unwrap_or_default()
    }
}

impl Broker for NatsServer {
    fn kill(&mut self) {
        Self::kill(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }

    fn url(&self) -> String {
        Self::url(self)
    }

    async fn publisher(&self) -> Option<Publisher> {
        let client = async_nats::connect(Self::url(self)).await.ok()?;
        Some(Publisher::Nats(async_nats::jetstream::new(client)))
    }
}

impl Broker for RabbitBroker {
    fn wait_until_kept(&self) {
        Self::wait_until_kept(self, "in");
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

    async fn publisher(&self) -> Option<Publisher> {
        let connection = Connection::connect(&Self::url(self), ConnectionProperties::default()).await.ok()?;
        let channel = connection.create_channel().await.ok()?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.ok()?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare("in".into(), durable, arguments).await.ok()?;
        Some(Publisher::Rabbit(channel, connection))
    }
}

/// Publishes messages one after the other, each until it is confirmed. Returns the number after the last one.
async fn publish<B: Broker>(broker: &B, from: u64, count: u64) -> u64 {
    let publisher = loop {
        match broker.publisher().await {
            Some(publisher) => break publisher,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    for number in from..from + count {
        // A repetition of the publisher is a second message with the same id.
        while !publisher.publish(message(number)).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    from + count
}

/// Checks that each message was executed once, in the order of its subject.
async fn assert_each_once_in_order(annals: &Annals, end: u64) {
    let head = annals.store().head().await.unwrap().position;
    let (mut got, mut after): (BTreeMap<u64, Vec<u64>>, u64) = (BTreeMap::new(), 0);
    while after < head {
        let page = annals.events(after, 10_000).await.unwrap();
        after = page.to.position;
        for event in page.events.iter().filter(|event| event.event_type == "account.deposited") {
            let payload: Value = serde_json::from_str(&event.payload).unwrap();
            let subject = event.aggregate.id().parse().unwrap();
            got.entry(subject).or_default().push(payload["cents"].as_u64().unwrap());
        }
    }
    for subject in 0..SUBJECTS {
        let wanted: Vec<u64> = (1..end).filter(|number| number % SUBJECTS == subject).collect();
        assert_eq!(got.remove(&subject).unwrap_or_default(), wanted, "subject {subject}");
    }
}

/// Waits until all messages are received, as long as there is progress: after many rounds there are many.
async fn drained(annals: &Annals) {
    let (mut received, mut since) = (0, Instant::now());
    loop {
        let status = annals.intakes().await.unwrap().remove(0);
        if status.leads && status.backlog == Some(0) && status.in_hand == 0 && status.problem.is_none() {
            return;
        }
        if status.received > received {
            (received, since) = (status.received, Instant::now());
        }
        assert!(since.elapsed() < Duration::from_secs(120), "nothing more is received: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Kills the process and the broker in turn, at random moments, while messages are published.
async fn kill_in_turn<B: Broker>(place: &Place, broker: &mut B, rounds: u64, count: u64) {
    let mut end = publish(broker, 1, 20).await;
    for _ in 0..rounds {
        let mut process = Process::start(place.url(), &format!("receive {}", broker.url()));
        process.wait_until_it_speaks();
        tokio::task::block_in_place(|| broker.wait_until_kept());
        end = publish(broker, end, random(count)).await;
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        broker.kill();
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        tokio::task::block_in_place(|| broker.restart());
        end = publish(broker, end, random(count)).await;
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        process.kill();
        end = publish(broker, end, random(count)).await;
    }
    let annals = app_with_intake(&broker.url()).open(place.url()).await.unwrap();
    drained(&annals).await;
    assert_each_once_in_order(&annals, end).await;
    annals.close().await;
}

/// Guarantee 43.
async fn killed_brokers_and_processes_execute_each_message_of_a_stream_once_and_in_order(place: &Place) {
    let Some(mut server) = NatsServer::start() else { return };
    let config = Config { name: "IN".to_owned(), subjects: vec!["in.>".to_owned()], ..Default::default() };
    server.create_as(config).await;
    kill_in_turn(place, &mut server, rounds(3), 300).await;
}

/// Guarantee 43.
async fn killed_brokers_and_processes_execute_each_message_of_a_queue_once_and_in_order(place: &Place) {
    let Some(mut broker) = tokio::task::block_in_place(RabbitBroker::start) else { return };
    kill_in_turn(place, &mut broker, rounds(1), 300).await;
}

/// Guarantee 43.
#[cfg(unix)]
async fn a_process_stopped_past_its_lease_executes_no_message_twice_or_out_of_order(place: &Place) {
    let Some(server) = NatsServer::start() else { return };
    let config = Config { name: "IN".to_owned(), subjects: vec!["in.>".to_owned()], ..Default::default() };
    server.create_as(config).await;
    let mut end = publish(&server, 1, 100).await;
    let mut process = Process::start(place.url(), &format!("receive {}", server.url()));
    process.wait_until_it_speaks();
    process.signal("-STOP");
    end = publish(&server, end, 300).await;
    // The lease ends, and this one receives.
    let annals = app_with_intake(&server.url()).open(place.url()).await.unwrap();
    let leading = async {
        while !annals.intakes().await.unwrap()[0].leads {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), leading).await.expect("the lease ends");
    process.signal("-CONT");
    end = publish(&server, end, 300).await;
    drained(&annals).await;
    assert_each_once_in_order(&annals, end).await;
    annals.close().await;
    drop(process);
}
