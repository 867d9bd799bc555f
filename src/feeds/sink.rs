//! [`Sink`]: where a feed sends to.

use async_trait::async_trait;
use uuid::Uuid;

use crate::BoxError;
use crate::events::{LogPosition, Ref};

/// Where a feed sends to: a broker, a webhook, or a type of the application that implements this.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// The destination for people: without credentials and without parts of a URL that may be secret.
    fn destination(&self) -> String;

    /// Checks the settings, without a connection.
    ///
    /// # Errors
    /// When a setting is invalid: the message says which one. The application does not open then.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Connects. It is called before the first message, and again after each failure. It must end within some seconds.
    ///
    /// # Errors
    /// Why there is no connection.
    async fn connect(&self, at: &FeedPosition) -> Result<Box<dyn Connection>, SinkError>;
}

/// A connection to a sink. After a failure it is dropped.
#[async_trait]
pub trait Connection: Send {
    /// Sends messages in their order, and waits until the receiver has confirmed them: that they are durable there, as far as it
    /// promises that. It must end within some seconds.
    async fn send(&mut self, messages: &[Message]) -> Sent;
}

/// The position of a feed, when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// The name of the feed.
    pub feed: String,
    /// The id of the log.
    pub log: String,
    /// Whether it sends each event of the log.
    pub whole: bool,
    /// The event up to which all that matches is confirmed, whether or not it matches itself.
    pub confirmed: LogPosition,
    /// The position of the last message that was confirmed; 0 before the first.
    pub last_sent: u64,
}

/// An event as a feed sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The position of the event in the log.
    pub position: u64,
    /// The position of the message before this one in the same feed; 0 before the first. A receiver finds gaps and repeats by it.
    pub previous: u64,
    /// The id of the event.
    pub event_id: Uuid,
    /// The type of the event: `order.placed`.
    pub event_type: String,
    /// The aggregate.
    pub aggregate: Ref,
    /// A CloudEvent in JSON.
    pub body: String,
}

/// The answer of a sink to a number of messages.
#[derive(Debug, Default)]
pub struct Sent {
    /// How many of them are confirmed, from the first on.
    pub confirmed: usize,
    /// Why not all are.
    pub failure: Option<SinkError>,
}

impl Sent {
    /// All are confirmed.
    #[must_use]
    pub fn all(messages: &[Message]) -> Self {
        Self { confirmed: messages.len(), failure: None }
    }

    /// Only so many are.
    #[must_use]
    pub fn only(confirmed: usize, failure: SinkError) -> Self {
        Self { confirmed, failure: Some(failure) }
    }
}

/// Why a sink has not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It may succeed later: the feed tries again.
    #[error("{what}")]
    Failed {
        /// What failed.
        what: String,
        /// The cause.
        #[source]
        source: Option<BoxError>,
    },
    /// The receiver has something that this log did not send, or lacks what it confirmed: the feed stops, since nothing that it
    /// could send keeps the order.
    #[error("{0}")]
    Diverged(String),
}

impl SinkError {
    /// A failure without another error as its cause.
    #[must_use]
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), source: None }
    }

    /// A failure with its cause.
    #[must_use]
    pub fn caused(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Failed { what: what.into(), source: Some(source.into()) }
    }
}
