//! [`NatsStream`]: a stream of NATS JetStream.
//!
//! The intake has a durable consumer of its own, which remembers what is acknowledged. After a kill the server delivers again what was not,
//! but only when its time is over, and newer messages before that. So a new subscription first waits until it has everything that was
//! delivered before, and continues in the order of the stream.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::pull::{Config, Stream as Deliveries};
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::{self, Stream};
use async_nats::jetstream::{AckKind, Context, Message};
use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::source::{IncomingMessage, MessageSource, Settle, SourceError, Subscription, SubscriptionOptions};
use crate::nats_servers::NatsServers;

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// After what time the server delivers a message again that is neither settled nor said to be worked on.
const REDELIVERED_AFTER: Duration = Duration::from_secs(10);

/// How often the server is notified that messages are worked on.
const KEEP: Duration = Duration::from_secs(3);

/// How often it is asked whether the messages that were delivered before are all here.
const ASK: Duration = Duration::from_millis(500);

/// A stream of NATS JetStream, on a server of version 2.10 or later.
///
/// The stream must exist. Its consumer is created if it does not: durable, with the name of the intake. The
/// [publisher](super::CloudEvent::publisher) of a message is its subject: the server's permissions name the users that can publish to it.
///
/// ```
/// use annals::intakes::NatsStream;
///
/// let stream = NatsStream::new("nats://annals:secret@broker:4222").stream("PAYMENTS").subjects("payments.>");
/// assert!(!format!("{stream:?}").contains("secret"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a source does nothing until it is given to an intake"]
pub struct NatsStream {
    servers: NatsServers,
    stream: String,
    subjects: String,
    created: Option<String>,
    consumer: Option<String>,
}

impl NatsStream {
    /// A server, or several of a cluster with commas between: `nats://user:password@host:4222`, or `nats://token@host:4222`; `tls://`
    /// for TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            servers: NatsServers::new(&url.into()),
            stream: String::new(),
            subjects: String::new(),
            created: None,
            consumer: None,
        }
    }

    /// The name of the stream.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = name.into();
        self
    }

    /// Only messages on these subjects, with the wildcards of NATS. Default: all of the stream.
    pub fn subjects(mut self, filter: impl Into<String>) -> Self {
        self.subjects = filter.into();
        self
    }

    /// Creates the stream if it does not exist, with these subjects, on disk and without limits. Without it, a stream that does not exist
    /// is an error: a mistake in a name then takes nobody's messages.
    pub fn create(mut self, subjects: impl Into<String>) -> Self {
        self.created = Some(subjects.into());
        self
    }

    /// The name of the durable consumer. Default: the name of the intake.
    pub fn consumer(mut self, name: impl Into<String>) -> Self {
        self.consumer = Some(name.into());
        self
    }

    /// A file of certificates (PEM) that are trusted besides those of the machine.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.servers.trust(file.into());
        self
    }

    fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> SourceError {
        SourceError::new(self.servers.failed(what, error))
    }

    async fn stream_of(&self, context: &Context) -> Result<Stream, SourceError> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            self.failed(&format!("has no stream `{}`", self.stream), error)
        };
        match &self.created {
            None => context.get_stream(&self.stream).await.map_err(|error| failed(&error)),
            Some(subjects) => {
                let (name, subjects) = (self.stream.clone(), vec![subjects.clone()]);
                let wanted = stream::Config { name, subjects, ..stream::Config::default() };
                context.get_or_create_stream(wanted).await.map_err(|error| failed(&error))
            }
        }
    }

    async fn open(&self, options: &SubscriptionOptions) -> Result<NatsSubscription, SourceError> {
        let (lost, is_lost) = watch::channel(false);
        let lost = Arc::new(lost);
        let notified = lost.clone();
        let connecting = ConnectOptions::new()
            .name(format!("annals intake {}", options.intake))
            .request_timeout(Some(ANSWER))
            // The subscription ends with its connection: another one looks what was delivered before.
            .event_callback(move |event| {
                let notified = notified.clone();
                async move {
                    if matches!(event, async_nats::Event::Disconnected | async_nats::Event::Closed) {
                        notified.send_replace(true);
                    }
                }
            });
        let client = self.servers.connect(connecting).await.map_err(SourceError::new)?;
        let mut context = async_nats::jetstream::new(client.clone());
        context.set_timeout(ANSWER);
        let stream = self.stream_of(&context).await?;
        let name = self.consumer.as_deref().unwrap_or(&options.intake);
        let wanted = Config {
            durable_name: Some(name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: REDELIVERED_AFTER,
            max_deliver: -1,
            max_ack_pending: i64::from(options.prefetch),
            filter_subject: self.subjects.clone(),
            ..Config::default()
        };
        let consumer: Consumer<Config> = stream
            .get_or_create_consumer(name, wanted)
            .await
            .map_err(|error| self.failed(&format!("gives no consumer `{name}`"), &error))?;
        let info = consumer.get_info().await.map_err(|error| self.failed("does not know its consumer", &error))?;
        let config = &info.config;
        if config.ack_policy != AckPolicy::Explicit || config.max_deliver > 0 || config.deliver_subject.is_some() {
            return Err(SourceError::new(format!(
                "the consumer `{name}` on {} must be a pull consumer with explicit acknowledgements and no limit of deliveries",
                self.servers.hosts()
            )));
        }
        let before = info.num_ack_pending;
        let deliveries = consumer
            .stream()
            .max_messages_per_batch(usize::from(options.prefetch))
            .expires(Duration::from_secs(20))
            .heartbeat(ANSWER)
            .messages()
            .await
            .map_err(|error| self.failed("delivers nothing", &error))?;
        Ok(NatsSubscription {
            nats: self.clone(),
            client,
            consumer,
            deliveries,
            lost: is_lost,
            in_hand: BTreeMap::new(),
            held: (before > 0).then(BTreeMap::new),
            ready: VecDeque::new(),
            ask_at: Instant::now() + ASK,
            kept: Instant::now(),
        })
    }
}

#[async_trait]
impl MessageSource for NatsStream {
    fn origin(&self) -> String {
        let of = if self.subjects.is_empty() { String::new() } else { format!(", subjects {}", self.subjects) };
        format!("{}, stream {}{of}", self.servers.hosts(), self.stream)
    }

    fn check(&self) -> Result<(), String> {
        self.servers.check()?;
        let is_name = |text: &str| !text.is_empty() && !text.contains([' ', '*', '>', '.', '/', '\t', '\r', '\n']);
        let is_filter = !self.subjects.contains([' ', '\t', '\r', '\n']);
        match is_name(&self.stream) && self.consumer.as_deref().is_none_or(is_name) && is_filter {
            true => Ok(()),
            false => {
                Err("say `.stream(…)`; names of streams and consumers have no wildcards and no dots".to_owned())
            }
        }
    }

    async fn subscribe(&self, options: &SubscriptionOptions) -> Result<Box<dyn Subscription>, SourceError> {
        Ok(Box::new(self.open(options).await?))
    }
}

struct NatsSubscription {
    nats: NatsStream,
    /// The connection.
    client: async_nats::Client,
    consumer: Consumer<Config>,
    deliveries: Deliveries,
    lost: watch::Receiver<bool>,
    /// By the sequence in the stream: what is not settled.
    in_hand: BTreeMap<u64, Acker>,
    /// By the sequence in the stream: messages that wait until all that were delivered before are here.
    held: Option<BTreeMap<u64, IncomingMessage>>,
    ready: VecDeque<IncomingMessage>,
    ask_at: Instant,
    /// When the server was notified last that messages are worked on.
    kept: Instant,
}

impl NatsSubscription {
    /// Takes a message in, without waiting for anything: otherwise it could be lost here.
    fn take(&mut self, delivered: Message) -> Result<(), SourceError> {
        let sequence = match delivered.info() {
            Ok(info) => info.stream_sequence,
            Err(error) => return Err(SourceError::new(format!("a message has no sequence: {error}"))),
        };
        let (message, acker) = delivered.split();
        // It took long, and comes again: the newer acknowledgement counts.
        if self.in_hand.insert(sequence, acker).is_some() {
            return Ok(());
        }
        let headers = message.headers.iter().flat_map(|headers| headers.iter());
        let headers: BTreeMap<String, String> = headers
            .filter_map(|(name, values)| Some((name.to_string(), values.last()?.as_str().to_owned())))
            .collect();
        let is_kind = |name: &&String| name.eq_ignore_ascii_case("content-type");
        let message = IncomingMessage {
            tag: sequence,
            publisher: Some(message.subject.to_string()),
            content_type: headers.keys().find(is_kind).and_then(|name| headers.get(name)).cloned(),
            headers,
            body: message.payload.to_vec(),
        };
        match &mut self.held {
            Some(held) => {
                held.insert(sequence, message);
            }
            None => self.ready.push_back(message),
        }
        Ok(())
    }

    async fn info(&self) -> Result<async_nats::jetstream::consumer::Info, SourceError> {
        let info = self.consumer.get_info().await;
        info.map_err(|error| self.nats.failed("does not know its consumer", &error))
    }

    /// Releases what is held, in order, if everything that was delivered before is here.
    async fn release(&mut self) -> Result<(), SourceError> {
        self.ask_at = Instant::now() + ASK;
        if self.info().await?.num_ack_pending <= self.in_hand.len() {
            self.ready.extend(self.held.take().into_iter().flat_map(BTreeMap::into_values));
        }
        Ok(())
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn next(&mut self) -> Result<IncomingMessage, SourceError> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            let lost = async {
                let _ = self.lost.wait_for(|lost| *lost).await;
            };
            tokio::select! {
                () = lost => {
                    let hosts = self.nats.servers.hosts();
                    return Err(SourceError::new(format!("the connection to {hosts} has ended")));
                }
                delivered = self.deliveries.next() => match delivered {
                    Some(Ok(message)) => self.take(message)?,
                    Some(Err(error)) => return Err(self.nats.failed("delivers no more", &error)),
                    None => {
                        let hosts = self.nats.servers.hosts();
                        return Err(SourceError::new(format!("{hosts} delivers no more")));
                    }
                },
                () = sleep_until(self.ask_at), if self.held.is_some() => self.release().await?,
            }
        }
    }

    async fn settle(&mut self, tag: u64, how: Settle) -> Result<(), SourceError> {
        let Some(acker) = self.in_hand.remove(&tag) else { return Ok(()) };
        let kind = match how {
            Settle::Acknowledge => AckKind::Ack,
            Settle::Reject => AckKind::Term,
        };
        let settled = acker.ack_with(kind).await;
        settled.map_err(|error| self.nats.failed("takes no acknowledgement", &*error))
    }

    async fn keep(&mut self) -> Result<(), SourceError> {
        if self.kept.elapsed() < KEEP {
            return Ok(());
        }
        self.kept = Instant::now();
        for acker in self.in_hand.values() {
            let kept = acker.ack_with(AckKind::Progress).await;
            kept.map_err(|error| self.nats.failed("takes no word", &*error))?;
        }
        Ok(())
    }

    async fn backlog(&mut self) -> Result<u64, SourceError> {
        let info = self.info().await?;
        Ok(info.num_pending + info.num_ack_pending as u64)
    }

    async fn close(self: Box<Self>) {
        // In order, so that they are delivered again in order, at once.
        for acker in self.in_hand.values() {
            if acker.ack_with(AckKind::Nak(None)).await.is_err() {
                return;
            }
        }
        // The server has them before the connection ends.
        let _ = self.client.flush().await;
    }
}
