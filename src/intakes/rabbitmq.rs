//! [`RabbitQueue`]: a queue of RabbitMQ.
//!
//! The consumer is exclusive, so that one process receives, whatever leases say. If its connection ends, the broker returns everything that is
//! not acknowledged to the head of the queue.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, ExchangeKind};
use tokio::time::timeout;

use super::source::{IncomingMessage, MessageSource, Settle, SourceError, Subscription, SubscriptionOptions};
use crate::feeds::{RabbitServer, quorum_queue};

/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A queue of RabbitMQ, from which one process receives.
///
/// A queue that does not exist is created as a quorum queue; one that exists is used as it is. The
/// [publisher](super::CloudEvent::publisher) of a message is its `user_id`, which the broker compares with the credentials of the connection.
///
/// ```
/// use annals::intakes::RabbitQueue;
///
/// let queue = RabbitQueue::new("amqp://annals:secret@broker:5672/%2f").queue("payments");
/// assert!(!format!("{queue:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until it is given to an intake"]
pub struct RabbitQueue {
    server: RabbitServer,
    queue: String,
    bound: Option<(String, String)>,
}

impl RabbitQueue {
    /// A broker: `amqp://user:password@host:5672/vhost`, or with TLS `amqps://user:password@host:5671/vhost`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { server: RabbitServer::new(url), queue: String::new(), bound: None }
    }

    /// Trusts the certificates of a file (PEM) besides those of the machine.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.server.trust(file.into());
        self
    }

    /// The queue.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = name.into();
        self
    }

    /// Binds the queue to a durable topic exchange, which is created if it does not exist. `key` is a routing key, in which `*` is any word
    /// and `#` any words.
    pub fn bind(mut self, exchange: impl Into<String>, key: impl Into<String>) -> Self {
        self.bound = Some((exchange.into(), key.into()));
        self
    }

    fn failed(&self, what: &str, error: &lapin::Error) -> SourceError {
        SourceError::new(self.server.failed(what, error))
    }

    async fn open(&self, options: &SubscriptionOptions) -> Result<RabbitSubscription, SourceError> {
        let name = format!("annals intake {}", options.intake);
        let connection = self.server.connect(name).await.map_err(SourceError::new)?;
        self.declare(&connection).await?;
        let channel = self.channel(&connection).await?;
        let queue = &self.queue;
        let qos = channel.basic_qos(options.prefetch, BasicQosOptions::default()).await;
        qos.map_err(|error| self.failed("takes no prefetch", &error))?;
        let exclusive = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let consuming = channel.basic_consume(queue.as_str().into(), "".into(), exclusive, FieldTable::default());
        let what = format!("does not let this intake alone receive from the queue `{queue}`");
        let consumer = consuming.await.map_err(|error| self.failed(&what, &error))?;
        let counting = self.channel(&connection).await?;
        Ok(RabbitSubscription {
            rabbit: self.clone(),
            consumer,
            counting,
            in_hand: HashMap::new(),
            _channel: channel,
            connection,
        })
    }

    async fn channel(&self, connection: &Connection) -> Result<Channel, SourceError> {
        connection.create_channel().await.map_err(|error| self.failed("gives no channel", &error))
    }

    async fn declare(&self, connection: &Connection) -> Result<(), SourceError> {
        let queue = self.queue.as_str();
        let channel = self.channel(connection).await?;
        let failed = |error| self.failed(&format!("has no queue `{queue}`"), &error);
        if !quorum_queue::exists(connection, queue).await.map_err(failed)? {
            quorum_queue::make(&channel, queue).await.map_err(failed)?;
        }
        let Some((exchange, key)) = &self.bound else { return Ok(()) };
        let failed =
            |error| self.failed(&format!("cannot bind `{queue}` to the topic exchange `{exchange}`"), &error);
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        let declaring = channel.exchange_declare(exchange.as_str().into(), ExchangeKind::Topic, durable, none());
        declaring.await.map_err(failed)?;
        let (exchange, key) = (exchange.as_str().into(), key.as_str().into());
        channel.queue_bind(queue.into(), exchange, key, QueueBindOptions::default(), none()).await.map_err(failed)
    }
}

#[async_trait]
impl MessageSource for RabbitQueue {
    fn origin(&self) -> String {
        format!("{}, queue {}", self.server.host(), self.queue)
    }

    fn check(&self) -> Result<(), String> {
        self.server.check()?;
        let is_name = RabbitServer::is_name;
        match is_name(&self.queue) && self.bound.as_ref().is_none_or(|(exchange, _)| is_name(exchange)) {
            true => Ok(()),
            false => Err("say `.queue(…)`; names have at most 255 bytes and do not begin with `amq.`".to_owned()),
        }
    }

    async fn subscribe(&self, options: &SubscriptionOptions) -> Result<Box<dyn Subscription>, SourceError> {
        match timeout(ANSWER, self.open(options)).await {
            Ok(opened) => Ok(Box::new(opened?)),
            Err(_) => Err(SourceError::new(format!("{} does not answer", self.server.host()))),
        }
    }
}

struct RabbitSubscription {
    rabbit: RabbitQueue,
    consumer: Consumer,
    /// For the backlog.
    counting: Channel,
    /// The deliveries that are not acknowledged or rejected yet, without their bodies.
    in_hand: HashMap<u64, Delivery>,
    /// The consumer ends with it.
    _channel: Channel,
    connection: Connection,
}

impl RabbitSubscription {
    fn message(&mut self, mut delivery: Delivery) -> IncomingMessage {
        let tag = delivery.delivery_tag;
        let (properties, body) = (std::mem::take(&mut delivery.properties), std::mem::take(&mut delivery.data));
        self.in_hand.insert(tag, delivery);
        let user = properties.user_id().as_ref().map(ToString::to_string);
        let table = properties.headers().as_ref().map(FieldTable::inner);
        let headers =
            table.into_iter().flatten().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        IncomingMessage {
            tag,
            publisher: user,
            content_type: properties.content_type().as_ref().map(ToString::to_string),
            headers: headers.collect::<BTreeMap<_, _>>(),
            body,
        }
    }
}

/// The text of a header.
fn text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        _ => return None,
    })
}

#[async_trait]
impl Subscription for RabbitSubscription {
    async fn next(&mut self) -> Result<IncomingMessage, SourceError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(self.message(delivery)),
            Some(Err(error)) => Err(self.rabbit.failed("delivers no more", &error)),
            None => Err(SourceError::new(format!(
                "{} has ended the subscription: was the queue deleted?",
                self.rabbit.server.host()
            ))),
        }
    }

    async fn settle(&mut self, tag: u64, how: Settle) -> Result<(), SourceError> {
        let Some(delivery) = self.in_hand.remove(&tag) else { return Ok(()) };
        let settled = match how {
            Settle::Acknowledge => delivery.ack(BasicAckOptions::default()).await,
            Settle::Reject => delivery.reject(BasicRejectOptions { requeue: false }).await,
        };
        match settled {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(SourceError::new(format!("the connection to {} has ended", self.rabbit.server.host())))
            }
            Err(error) => Err(self.rabbit.failed("takes no acknowledgement", &error)),
        }
    }

    async fn backlog(&mut self) -> Result<u64, SourceError> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked =
            self.counting.queue_declare(self.rabbit.queue.as_str().into(), passive, FieldTable::default()).await;
        let queue = asked.map_err(|error| self.rabbit.failed("does not count", &error))?;
        Ok(u64::from(queue.message_count()) + self.in_hand.len() as u64)
    }

    async fn close(self: Box<Self>) {
        // The broker gives back what is not acknowledged, also if it does not answer.
        let _ = self.connection.close(200, "the intake ends".into()).await;
    }
}
