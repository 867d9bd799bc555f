//! [`Nats`]: a sink on NATS JetStream.
//!
//! A feed has a stream of its own, and publishes each message with the sequence that it expects before it. The server refuses it if
//! anything else is there, so that nothing is in the stream twice, out of order or between two messages, whatever happens to the
//! connection, to the process or to a second process. What became of a message whose acknowledgement was lost is read from the stream.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::context::{Context, PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_trait::async_trait;

use super::sink::{Connection, FeedPosition, Message, Sent, Sink, SinkError};
use crate::nats_servers::NatsServers;

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// The headers by which the messages of a feed are recognised.
const LOG: &str = "Annals-Log";
const POSITION: &str = "Annals-Position";
const PREVIOUS: &str = "Annals-Previous";
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// A sink on NATS JetStream: a stream of this feed alone, of a server of version 2.10 or later.
///
/// The stream must exist, and nobody else may publish to it. If the feed sends the whole log, the sequence of a message in the stream
/// is the position of its event: a stream for a feed that begins later is created with `first_seq`, the position after that of the
/// start. Streams with limits are fine, as long as they drop old messages.
///
/// ```
/// use annals::feeds::Nats;
///
/// let nats = Nats::new("nats://annals:secret@broker:4222").stream("ORDERS").subject("orders");
/// assert!(!format!("{nats:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a sink does nothing until it is given to a feed"]
pub struct Nats {
    servers: NatsServers,
    stream: String,
    subject: String,
}

impl Nats {
    /// A server, or several of a cluster with commas between: `nats://user:password@host:4222`, or `nats://token@host:4222`; `tls://`
    /// for TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self { servers: NatsServers::new(&url.into()), stream: String::new(), subject: String::new() }
    }

    /// The name of the stream.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = name.into();
        self
    }

    /// The subject of the messages: one of the stream's.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// A file of certificates (PEM) that are trusted besides those of the machine.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.servers.trust(file.into());
        self
    }

    async fn client(&self, feed: &str) -> Result<async_nats::Client, SinkError> {
        let options = ConnectOptions::new().name(format!("annals feed {feed}"));
        // A connection that is lost is made by the feed, which then looks what has arrived.
        self.servers.connect(options.request_timeout(Some(ANSWER))).await.map_err(SinkError::failed)
    }

    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> SinkError {
        SinkError::failed(self.servers.failed(what, error))
    }

    fn of_stream(&self, what: &str) -> String {
        format!("the stream `{}` on {} {what}", self.stream, self.servers.hosts())
    }
}

#[async_trait]
impl Sink for Nats {
    fn destination(&self) -> String {
        format!("{}, stream {}, subject {}", self.servers.hosts(), self.stream, self.subject)
    }

    fn check(&self) -> Result<(), String> {
        self.servers.check()?;
        let is_name = |text: &str| !text.is_empty() && !text.contains([' ', '*', '>', '\t', '\r', '\n']);
        match is_name(&self.stream) && !self.stream.contains('.') && is_name(&self.subject) {
            true => Ok(()),
            false => Err("say `.stream(…)` and `.subject(…)`, without wildcards".to_owned()),
        }
    }

    async fn connect(&self, at: &FeedPosition) -> Result<Box<dyn Connection>, SinkError> {
        let mut context = async_nats::jetstream::new(self.client(&at.feed).await?);
        context.set_timeout(ANSWER);
        let stream = context.get_stream(&self.stream).await;
        let stream = stream
            .map_err(|error| self.failed(&format!("has no stream `{}` for this feed", self.stream), &error))?;
        let mut connection = NatsConnection {
            nats: self.clone(),
            context,
            stream,
            log: at.log.clone(),
            whole: at.whole,
            sequence: 0,
            position: 0,
            first: 0,
        };
        connection.find_last(at).await?;
        Ok(Box::new(connection))
    }
}

/// A connection to a stream, and what is known of it.
struct NatsConnection {
    nats: Nats,
    context: Context,
    stream: Stream,
    log: String,
    whole: bool,
    /// The sequence of the last message, and the position of its event.
    sequence: u64,
    position: u64,
    /// The sequence of the first message that the stream still has.
    first: u64,
}

impl NatsConnection {
    /// Finds the last message of the stream, and compares it with what was confirmed.
    async fn find_last(&mut self, at: &FeedPosition) -> Result<(), SinkError> {
        let state = &self.stream.cached_info().state;
        (self.sequence, self.first) = (state.last_sequence, state.first_sequence);
        let is_empty = state.messages == 0;
        self.position = match self.message(self.sequence).await? {
            Some(message) => self.position_of(&message)?,
            // It is new, or its limits have dropped what was confirmed.
            None if is_empty => return self.begin_empty(at),
            None => return Err(self.diverged("lacks its last message")),
        };
        let Self { sequence, position, .. } = *self;
        if self.whole && position != sequence {
            return Err(self.diverged(&format!("has event {position} at sequence {sequence}, not at its position")));
        }
        if self.whole && sequence < at.confirmed.position {
            return Err(self.ends_elsewhere(at));
        }
        if position < at.last_sent {
            let what = format!("ends at event {position}, but has confirmed event {}", at.last_sent);
            return Err(self.diverged(&what));
        }
        Ok(())
    }

    /// An empty stream has to begin where the feed continues.
    fn begin_empty(&mut self, at: &FeedPosition) -> Result<(), SinkError> {
        let fits = match self.whole {
            true => self.sequence == at.confirmed.position,
            false => self.sequence > 0 || at.last_sent == 0,
        };
        self.position = at.last_sent;
        if fits { Ok(()) } else { Err(self.ends_elsewhere(at)) }
    }

    fn ends_elsewhere(&self, at: &FeedPosition) -> SinkError {
        let sequence = self.sequence;
        let next = at.confirmed.position + 1;
        self.diverged(&match self.whole {
            true => format!(
                "ends at sequence {sequence}, and the next event to send is {next}: a new one is created with first_seq {next}"
            ),
            false => format!("is new, but has confirmed event {}: say from where the feed continues", at.last_sent),
        })
    }

    /// The message at a sequence; `None` if the stream does not have it.
    async fn message(&self, sequence: u64) -> Result<Option<StreamMessage>, SinkError> {
        if sequence == 0 {
            return Ok(None);
        }
        match self.stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(self.nats.failed("cannot read the stream", &error)),
        }
    }

    /// The position of a message of this log.
    fn position_of(&self, message: &StreamMessage) -> Result<u64, SinkError> {
        let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
        let position = header(POSITION).and_then(|position| position.parse().ok());
        match position.filter(|_| header(LOG) == Some(self.log.as_str())) {
            Some(position) => Ok(position),
            None => {
                Err(self
                    .diverged(&format!("has a message at sequence {} that is not of this log", message.sequence)))
            }
        }
    }

    fn diverged(&self, what: &str) -> SinkError {
        SinkError::Diverged(self.nats.of_stream(what))
    }

    /// Confirms the messages that the stream has already: their acknowledgement was lost. Returns their number.
    async fn find_present(&self, messages: &[Message]) -> Result<usize, SinkError> {
        let present = messages.partition_point(|message| message.position <= self.position);
        for (before_last, message) in (0..present as u64).rev().zip(messages) {
            let sequence = self.sequence.saturating_sub(before_last);
            if sequence < self.first {
                continue;
            }
            let stored = self.message(sequence).await?;
            let same = stored.as_ref().is_some_and(|stored| {
                let id = stored.headers.get(MESSAGE_ID).map(|id| id.as_str().to_owned());
                id == Some(message.event_id.to_string())
            });
            let position = stored.as_ref().map(|stored| self.position_of(stored)).transpose()?;
            if !same || position != Some(message.position) {
                let what = format!("has another message at sequence {sequence} than event {}", message.position);
                return Err(self.diverged(&what));
            }
        }
        Ok(present)
    }

    async fn publish(&self, message: &Message, expected: u64) -> Result<PublishAckFuture, SinkError> {
        let publish = PublishMessage::build()
            .payload(message.body.clone().into())
            .message_id(message.event_id.to_string())
            .expected_stream(&self.nats.stream)
            .expected_last_sequence(expected)
            .header("Content-Type", "application/cloudevents+json")
            .header(LOG, self.log.as_str())
            .header(POSITION, message.position.to_string().as_str())
            .header(PREVIOUS, message.previous.to_string().as_str());
        let published = self.context.send_publish(self.nats.subject.clone(), publish).await;
        published.map_err(|error| self.refused(message.position, &error))
    }

    fn refused(&self, position: u64, error: &async_nats::jetstream::context::PublishError) -> SinkError {
        let what = match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => "is larger than the server takes (max_payload)",
            PublishErrorKind::StreamNotFound => "was taken by no stream: does it have the subject?",
            PublishErrorKind::WrongLastSequence => {
                "was not expected: another process sends, or the answer was lost"
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => "was not confirmed",
            _ => "was refused",
        };
        self.nats.failed(&format!("event {position} {what}"), error)
    }

    /// Publishes, then waits for the acknowledgements in order.
    async fn publish_all(&mut self, messages: &[Message]) -> Sent {
        let mut pending = Vec::with_capacity(messages.len());
        let mut failure = None;
        for (expected, message) in (self.sequence..).zip(messages) {
            match self.publish(message, expected).await {
                Ok(ack) => pending.push(ack),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        for (confirmed, (ack, message)) in pending.into_iter().zip(messages).enumerate() {
            let expected = self.sequence + 1;
            match ack.await {
                Ok(ack) if ack.sequence == expected && ack.stream == self.nats.stream => {
                    (self.sequence, self.position) = (expected, message.position);
                }
                // The server knows the id of the event: it is in the stream, or was. A new connection looks where.
                Ok(ack) if ack.duplicate => {
                    let what = format!(
                        "event {} is in the stream already, at sequence {}",
                        message.position, ack.sequence
                    );
                    return Sent::only(confirmed, SinkError::failed(what));
                }
                Ok(ack) => {
                    let what =
                        format!("has event {} at sequence {}, not at {expected}", message.position, ack.sequence);
                    return Sent::only(confirmed, self.diverged(&what));
                }
                Err(error) => return Sent::only(confirmed, self.refused(message.position, &error)),
            }
        }
        match failure {
            Some(failure) => Sent::only(self.confirmed(messages), failure),
            None => Sent::all(messages),
        }
    }

    fn confirmed(&self, messages: &[Message]) -> usize {
        messages.partition_point(|message| message.position <= self.position)
    }
}

#[async_trait]
impl Connection for NatsConnection {
    async fn send(&mut self, messages: &[Message]) -> Sent {
        let present = match self.find_present(messages).await {
            Ok(present) => present,
            Err(error) => return Sent::only(0, error),
        };
        // The first one alone: if somebody else published meanwhile, it is refused before another one could follow that.
        let (first, rest) = messages[present..].split_at(1.min(messages.len() - present));
        let mut sent = present;
        for part in [first, rest] {
            let Sent { confirmed, failure } = self.publish_all(part).await;
            sent += confirmed;
            if failure.is_some() {
                return Sent { confirmed: sent, failure };
            }
        }
        Sent::all(messages)
    }
}
