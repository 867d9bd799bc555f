//! [`CloudEvent`]: what the function of an intake gets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::commands::{Command, Context, Envelope, Handle};
use crate::events::IntoRef;

/// A message as a CloudEvent 1.0, with what the broker says of its publisher.
///
/// All of it but the [publisher](Self::publisher) is what the publisher claims.
#[derive(Clone, Debug)]
pub struct CloudEvent {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) event_type: String,
    pub(super) subject: Option<String>,
    pub(super) time: Option<Timestamp>,
    pub(super) content_type: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) extensions: BTreeMap<String, String>,
    pub(super) data: Content,
    pub(super) publisher: Option<String>,
}

/// The data of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    None,
    /// JSON text.
    Json(String),
    Bytes(Vec<u8>),
}

/// The data of an event is not as it was expected.
#[derive(Debug, thiserror::Error)]
#[error("the data of the event is not as expected: {0}")]
pub struct InvalidData(#[source] serde_json::Error);

impl CloudEvent {
    /// The id, unique among the events of its source.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The source, as a URI reference.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of the event: `com.example.paid`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The subject attribute: the thing in the source that the event is about. Messages about the same subject are executed in their order.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// The content type of the data.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The schema of the data (`dataschema`).
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// An extension attribute.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).map(String::as_str)
    }

    /// Who published it, as the broker says: RabbitMQ's `user_id`, which the broker compares with the credentials; the NATS subject, to
    /// which only users with a permission can publish.
    #[must_use]
    pub fn publisher(&self) -> Option<&str> {
        self.publisher.as_deref()
    }

    /// Parses the data, which is JSON. Without data, as `null`.
    ///
    /// # Errors
    /// When the data does not match. The message then is a dead letter, with this reason.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, InvalidData> {
        let parsed = match &self.data {
            Content::None => serde_json::from_str("null"),
            Content::Json(text) => serde_json::from_str(text),
            Content::Bytes(bytes) => serde_json::from_slice(bytes),
        };
        parsed.map_err(InvalidData)
    }

    /// The data as bytes; empty without data.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.data {
            Content::None => &[],
            Content::Json(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }

    /// The context of a command by this actor: caused by this event, at its [time](Self::time), with the extension `correlationid` as
    /// correlation.
    pub fn context(&self, actor: impl IntoRef) -> Context {
        let mut context = Context::by(actor).causation(format!("{} {}", self.source, self.id));
        if let Some(correlation) = self.extension("correlationid") {
            context = context.correlation(correlation);
        }
        match self.time {
            Some(time) => context.occurred_at(time),
            None => context,
        }
    }

    /// A command by this actor, in the [context](Self::context) of this event.
    pub fn command<C: Command + Handle>(&self, command: C, actor: impl IntoRef) -> Envelope {
        Envelope::new(command, self.context(actor))
    }
}
