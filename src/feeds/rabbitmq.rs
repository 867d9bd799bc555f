//! [`RabbitMq`]: a sink on RabbitMQ.
//!
//! Messages are persistent and mandatory, and confirmed by the broker: with a quorum queue that means that they are on the disks of most
//! of its members. A message whose confirmation was lost is sent again, so that a receiver may get it twice; the headers say how to
//! notice that.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind, PublisherConfirm};
use tokio::time::timeout;

use super::quorum_queue;
use super::rabbit_server::RabbitServer;
use super::sink::{Connection, FeedPosition, Message, Sent, Sink, SinkError};

/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A sink on RabbitMQ: a topic exchange, and a quorum queue if one is named. Both are made if they do not exist.
///
/// The routing key of a message is the type of its event, `order.placed`; its `message_id` is the id of the event. The headers
/// `position` and `previous` hold the position of its event and of the message before it.
///
/// ```
/// use annals::feeds::RabbitMq;
///
/// let rabbit = RabbitMq::new("amqp://annals:secret@broker:5672/%2f").exchange("orders").queue("auditor");
/// assert!(!format!("{rabbit:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is given to a feed"]
pub struct RabbitMq {
    server: RabbitServer,
    exchange: String,
    queue: Option<String>,
}

impl RabbitMq {
    /// A broker: `amqp://user:password@host:5672/vhost`, or with TLS `amqps://user:password@host:5671/vhost`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { server: RabbitServer::new(url), exchange: String::new(), queue: None }
    }

    /// Trusts the certificates of a file (PEM) besides those of the machine.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.server.trust(file.into());
        self
    }

    /// The topic exchange, which is durable.
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchange = name.into();
        self
    }

    /// A quorum queue that gets all messages of the exchange. Without it, somebody else binds the queues: a message that no queue gets
    /// is not confirmed, and is sent again until one does.
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    fn failed(&self, what: &str, error: &lapin::Error) -> SinkError {
        SinkError::failed(self.server.failed(what, error))
    }

    async fn open(&self, feed: &str) -> Result<RabbitConnection, SinkError> {
        let connection = self.server.connect(format!("annals feed {feed}")).await.map_err(SinkError::failed)?;
        let channel = connection.create_channel().await.map_err(|error| self.failed("gives no channel", &error))?;
        self.declare(&connection, &channel).await?;
        let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirms.map_err(|error| self.failed("confirms nothing", &error))?;
        Ok(RabbitConnection { rabbit: self.clone(), channel, _connection: connection })
    }

    async fn declare(&self, connection: &lapin::Connection, channel: &Channel) -> Result<(), SinkError> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = self.exchange.as_str();
        let declared =
            channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default()).await;
        declared
            .map_err(|error| self.failed(&format!("has no topic exchange `{exchange}` for this feed"), &error))?;
        let Some(queue) = &self.queue else { return Ok(()) };
        let failed = |error| self.failed(&format!("has no quorum queue `{queue}` for this feed"), &error);
        match quorum_queue::exists(connection, queue).await.map_err(failed)? {
            true => quorum_queue::declare(channel, queue).await,
            false => quorum_queue::make(channel, queue).await,
        }
        .map_err(failed)?;
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind(queue.as_str().into(), exchange.into(), "#".into(), options, arguments);
        bound.await.map_err(failed)
    }
}

#[async_trait]
impl Sink for RabbitMq {
    fn destination(&self) -> String {
        let queue = self.queue.as_ref().map(|queue| format!(", queue {queue}")).unwrap_or_default();
        format!("{}, exchange {}{queue}", self.server.host(), self.exchange)
    }

    fn check(&self) -> Result<(), String> {
        self.server.check()?;
        match RabbitServer::is_name(&self.exchange) && self.queue.as_deref().is_none_or(RabbitServer::is_name) {
            true => Ok(()),
            false => {
                Err("say `.exchange(…)`; names have at most 255 bytes and do not begin with `amq.`".to_owned())
            }
        }
    }

    async fn connect(&self, at: &FeedPosition) -> Result<Box<dyn Connection>, SinkError> {
        match timeout(ANSWER, self.open(&at.feed)).await {
            Ok(opened) => Ok(Box::new(opened?)),
            Err(_) => Err(SinkError::failed(format!("{} does not answer", self.server.host()))),
        }
    }
}

struct RabbitConnection {
    rabbit: RabbitMq,
    channel: Channel,
    /// Closed when it is dropped.
    _connection: lapin::Connection,
}

impl RabbitConnection {
    async fn publish(&self, message: &Message) -> Result<PublisherConfirm, lapin::Error> {
        let number = |number: u64| AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX));
        let mut headers = FieldTable::default();
        headers.insert("position".into(), number(message.position));
        headers.insert("previous".into(), number(message.previous));
        let properties = BasicProperties::default()
            .with_message_id(message.event_id.to_string().into())
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.rabbit.exchange.as_str().into(), message.event_type.as_str().into());
        self.channel.basic_publish(exchange, key, options, message.body.as_bytes(), properties).await
    }

    fn returned(&self, position: u64, returned: &BasicReturnMessage) -> SinkError {
        let exchange = &self.rabbit.exchange;
        let why = &returned.reply_text;
        SinkError::failed(format!(
            "event {position} came back from the exchange `{exchange}` ({why}): bind a queue to it"
        ))
    }

    async fn send_all(&self, messages: &[Message], confirmed: &mut usize) -> Result<(), SinkError> {
        let lost = |position, error| self.rabbit.failed(&format!("has not confirmed event {position}"), &error);
        let mut pending = Vec::with_capacity(messages.len());
        for message in messages {
            pending.push(self.publish(message).await.map_err(|error| lost(message.position, error))?);
        }
        for (confirm, message) in pending.into_iter().zip(messages) {
            match confirm.await.map_err(|error| lost(message.position, error))? {
                Confirmation::Ack(None) => *confirmed += 1,
                Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                    return Err(self.returned(message.position, &returned));
                }
                Confirmation::Nack(None) | Confirmation::NotRequested => {
                    let position = message.position;
                    return Err(SinkError::failed(format!(
                        "{} refused event {position}",
                        self.rabbit.server.host()
                    )));
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Connection for RabbitConnection {
    async fn send(&mut self, messages: &[Message]) -> Sent {
        let mut confirmed = 0;
        let failure = match timeout(ANSWER, self.send_all(messages, &mut confirmed)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => {
                let host = self.rabbit.server.host();
                let what = format!("{host} confirms nothing: is it short of memory or disk?");
                Some(SinkError::failed(what))
            }
        };
        Sent { confirmed, failure }
    }
}
