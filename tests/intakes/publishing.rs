//! Publishers of messages.

use annals::intakes::{Intake, NatsStream, RabbitQueue};
use async_nats::HeaderMap;
use async_nats::jetstream::context::Context;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};

use crate::brokers::{NatsServer, RabbitBroker};
use crate::tally::additions;

/// A NATS server with a stream `IN` of the subjects below `in`.
pub struct Nats {
    pub server: NatsServer,
    pub context: Context,
}

impl Nats {
    pub async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    pub async fn start_with(more: &str) -> Option<Self> {
        let server = NatsServer::start_with(more)?;
        let config = async_nats::jetstream::stream::Config {
            name: "IN".to_owned(),
            subjects: vec!["in.>".to_owned()],
            ..Default::default()
        };
        server.create_as(config).await;
        let context = server.context().await;
        Some(Self { server, context })
    }

    pub fn source(&self) -> NatsStream {
        NatsStream::new(self.server.url()).stream("IN")
    }

    pub fn intake(&self) -> Intake {
        additions().from(self.source())
    }

    pub async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) {
        let body: Vec<u8> = body.into();
        self.context.publish(subject.to_owned(), body.into()).await.unwrap().await.unwrap();
    }

    pub async fn publish_with(&self, subject: &str, headers: &[(&str, &str)], body: &str) {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let sent = self.context.publish_with_headers(subject.to_owned(), map, body.to_owned().into()).await;
        sent.unwrap().await.unwrap();
    }
}

/// A RabbitMQ broker with a quorum queue `in`.
pub struct Rabbit {
    pub broker: RabbitBroker,
    channel: Channel,
    _connection: Connection,
}

impl Rabbit {
    /// Starts one. `dead_letters` is a queue that gets what is rejected.
    pub async fn start(dead_letters: Option<&str>) -> Option<Self> {
        let broker = tokio::task::block_in_place(RabbitBroker::start)?;
        let (connection, channel) = connect(&broker.url()).await;
        let durable = || QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        if let Some(queue) = dead_letters {
            channel.queue_declare(queue.into(), durable(), FieldTable::default()).await.unwrap();
            arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
            arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(queue.into()));
        }
        channel.queue_declare("in".into(), durable(), arguments).await.unwrap();
        Some(Self { broker, channel, _connection: connection })
    }

    pub fn intake(&self) -> Intake {
        additions().from(RabbitQueue::new(self.broker.url()).queue("in"))
    }

    pub async fn publish(&self, user: Option<&str>, body: impl Into<Vec<u8>>) {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/cloudevents+json".into());
        let properties = user.into_iter().fold(properties, |all, user| all.with_user_id(user.into()));
        let body: Vec<u8> = body.into();
        let sent =
            self.channel.basic_publish("".into(), "in".into(), BasicPublishOptions::default(), &body, properties);
        sent.await.unwrap().await.unwrap();
    }

    /// How many messages a queue has.
    pub async fn count(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await.unwrap().message_count()
    }
}

async fn connect(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}
