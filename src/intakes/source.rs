//! [`MessageSource`]: where an intake gets its messages.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// Where an intake gets its messages: a queue or stream of a broker, or a type of the application that implements this.
#[async_trait]
pub trait MessageSource: Send + Sync + 'static {
    /// The origin for people: without credentials.
    fn origin(&self) -> String;

    /// Checks the settings, without a connection.
    ///
    /// # Errors
    /// The error in them. The application does not open.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Connects. It is called again after each failure, and must end within some seconds. What was delivered by an earlier subscription
    /// and not settled is delivered again, before what follows it.
    ///
    /// # Errors
    /// Why there is no subscription.
    async fn subscribe(&self, options: &SubscriptionOptions) -> Result<Box<dyn Subscription>, SourceError>;
}

/// How an intake subscribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// The name of the intake.
    pub intake: String,
    /// The most messages that are delivered and not settled.
    pub prefetch: u16,
}

/// A subscription. After a failure it is dropped, which gives back what is not settled.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next message. It may be cancelled: then no message is lost.
    ///
    /// # Errors
    /// Why no more messages come.
    async fn next(&mut self) -> Result<IncomingMessage, SourceError>;

    /// Settles the message with this tag.
    ///
    /// # Errors
    /// When the broker cannot be notified. It then delivers the message again.
    async fn settle(&mut self, tag: u64, how: Settle) -> Result<(), SourceError>;

    /// Says that the messages that are not settled are still worked on. It is called about once a second.
    ///
    /// # Errors
    /// When the broker cannot be notified.
    async fn keep(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Counts the messages that are not settled, with those that are not delivered yet.
    ///
    /// # Errors
    /// When the broker does not answer.
    async fn backlog(&mut self) -> Result<u64, SourceError>;

    /// Gives back what is not settled, and ends.
    async fn close(self: Box<Self>) {}
}

/// A message as the broker delivers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncomingMessage {
    /// Names the message within its subscription.
    pub tag: u64,
    /// Who published it, as the broker says: RabbitMQ's `user_id`, the NATS subject.
    pub publisher: Option<String>,
    /// The content type of the body.
    pub content_type: Option<String>,
    /// The headers that are texts.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a message is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Its outcome is in the log: the broker may forget it.
    Acknowledge,
    /// It is too large for the log, which has its digest: the broker keeps it as a dead letter, if it is set up to.
    Reject,
}

/// Why no messages come. The intake tries again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(String);

impl SourceError {
    /// An error with this text, which has no credentials.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}
