//! [`Intake`]: the declaration of an intake.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::cloud_event::CloudEvent;
use super::identity::Identity;
use super::parsing::parse;
use super::record::{DeadLetter, IntakeId};
use super::source::{IncomingMessage, MessageSource};
use crate::BoxError;
use crate::commands::Envelope;
use crate::events::{Id, Ref};
use crate::text::{error_chain, panic_message};

type Read = Arc<dyn Fn(&CloudEvent) -> Result<Envelope, BoxError> + Send + Sync>;

/// An intake: each message of a [`MessageSource`] becomes a command of the application.
///
/// The function must be pure: a message that is delivered again must give the same command. An error of it makes the message a dead
/// letter, with the error's text as the reason. It says who the actor is; access control is asked about the actor as for any command.
///
/// ```
/// # #[cfg(feature = "rabbitmq")] {
/// use std::convert::Infallible;
///
/// use annals::intakes::{Intake, RabbitQueue};
/// use annals::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct OrderId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "order", on = Order)]
/// pub enum OrderEvent {
///     #[event(update, "{actor} paid {cents} cents for {order}")]
///     Paid { cents: u32 },
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// pub struct Order {
///     paid: u32,
/// }
///
/// impl Aggregate for Order {
///     const TYPE: &'static str = "order";
///     type Id = OrderId;
///     type Event = OrderEvent;
///     type Error = Infallible;
///     fn apply(&mut self, OrderEvent::Paid { cents }: &OrderEvent) {
///         self.paid += cents;
///     }
/// }
///
/// /// Pay an order
/// #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// pub struct Pay {
///     #[on(Order)]
///     pub order: OrderId,
///     pub cents: u32,
/// }
///
/// impl Handle for Pay {
///     fn handle(&self, _: &Loaded<Order>, _: &Context) -> Result<Vec<OrderEvent>, Infallible> {
///         Ok(vec![OrderEvent::Paid { cents: self.cents }])
///     }
/// }
///
/// let payments = Intake::new("payments", |event| {
///     let pay: Pay = event.data()?;
///     Ok(event.command(pay, Ref::new("service", "bank")?))
/// });
/// let app = App::new("shop")
///     .command::<Pay>()
///     .intake(payments.from(RabbitQueue::new("amqp://shop:secret@broker:5672/%2f").queue("payments")));
/// app.check()?;
/// # }
/// # Ok::<(), annals::app::Unsound>(())
/// ```
#[derive(Clone)]
#[must_use = "an intake does nothing until it is given to `App::intake`"]
pub struct Intake {
    name: String,
    read: Read,
    source: Option<Arc<dyn MessageSource>>,
    prefetch: u16,
    largest: usize,
    over_http: bool,
    needs_publisher: bool,
    trusted: Vec<(String, String)>,
}

/// A message that was read: the event, its identity, and the command to execute.
pub(super) struct Readable {
    pub(super) event: CloudEvent,
    pub(super) identity: Identity,
    pub(super) envelope: Envelope,
}

/// Why a message is a dead letter, and what is recorded of it.
pub(super) struct Unreadable {
    pub(super) reason: String,
    pub(super) letter: Box<DeadLetter>,
    pub(super) identity: Identity,
}

impl Intake {
    /// An intake with a function that makes a command of a message, or says why it cannot. `name` has lower-case letters, digits and `_`,
    /// at most 40. It is a part of the command ids: under another name it is another intake.
    pub fn new(
        name: impl Into<String>,
        read: impl Fn(&CloudEvent) -> Result<Envelope, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let (prefetch, largest) = (64, 256 * 1_024);
        Self {
            name: name.into(),
            read: Arc::new(read),
            source: None,
            prefetch,
            largest,
            over_http: false,
            needs_publisher: false,
            trusted: Vec::new(),
        }
    }

    /// Where the messages come from.
    pub fn from(mut self, source: impl MessageSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Takes messages over HTTP too, or only: `POST /intakes/{name}/messages`. The publisher is the caller. An authoriser is asked for
    /// the operation `publish`. What cannot be read is answered, and is no dead letter: the caller still has it.
    pub fn over_http(mut self) -> Self {
        self.over_http = true;
        self
    }

    /// The most messages that are in memory and executed at the same time, 1 to 1,000. Default: 64.
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages;
        self
    }

    /// The largest body of a message, in bytes, at most 1,048,576. Default: 262,144. Larger ones are dead letters of which the log has
    /// the first 1,024 bytes only; the broker is asked to keep them as dead letters.
    pub fn largest(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// Makes messages dead letters whose publisher the broker does not name: on RabbitMQ those without `user_id`, which anybody may publish.
    pub fn require_publisher(mut self) -> Self {
        self.needs_publisher = true;
        self
    }

    /// Lets this publisher use this source, or the sources below it: `trust("shop", "/shop")` allows `/shop` and `/shop/web`. As soon as
    /// it is called, messages of all other publishers and sources are dead letters. See [`CloudEvent::publisher`]; a publisher that ends
    /// with `>` means all that begin with what is before it.
    pub fn trust(mut self, publisher: impl Into<String>, source: impl Into<String>) -> Self {
        self.trusted.push((publisher.into(), source.into()));
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn most(&self) -> u16 {
        self.prefetch
    }

    pub(super) fn limit(&self) -> usize {
        self.largest
    }

    pub(crate) fn is_over_http(&self) -> bool {
        self.over_http
    }

    pub(crate) fn source(&self) -> Option<&Arc<dyn MessageSource>> {
        self.source.as_ref()
    }

    /// The id of its record.
    pub(crate) fn id(&self) -> IntakeId {
        IntakeId::new(self.name.as_str())
    }

    /// Its record, and the actor of dead letters.
    pub(crate) fn reference(&self) -> Ref {
        self.id().reference()
    }

    /// Makes a command of a message.
    pub(super) fn read(&self, message: &IncomingMessage) -> Result<Readable, Unreadable> {
        let unreadable = |reason: String, event: Option<&CloudEvent>| {
            let identity = match event {
                Some(event) => Identity::of_event(&self.name, event),
                None => Identity::of_content(&self.name, message),
            };
            Unreadable { reason, letter: DeadLetter::new(event, message, self.largest).into(), identity }
        };
        if message.body.len() > self.largest {
            let reason = format!("it has {} bytes, and at most {} are read", message.body.len(), self.largest);
            return Err(unreadable(reason, None));
        }
        if self.needs_publisher && message.publisher.is_none() {
            return Err(unreadable("the broker does not say who published it".to_owned(), None));
        }
        let event = parse(message).map_err(|reason| unreadable(reason, None))?;
        if !self.is_trusted(&event) {
            let publisher = event.publisher().unwrap_or("unknown");
            let reason = format!("the publisher `{publisher}` may not use the source `{}`", event.source());
            // Not under the id of the event: it is not of the one that it claims to be of.
            return Err(unreadable(reason, None));
        }
        let envelope = match catch_unwind(AssertUnwindSafe(|| (self.read)(&event))) {
            Ok(Ok(envelope)) => envelope,
            Ok(Err(error)) => return Err(unreadable(error_chain(&*error), Some(&event))),
            Err(panic) => {
                let reason = format!("the intake's function panicked: {}", panic_message(&*panic));
                return Err(unreadable(reason, Some(&event)));
            }
        };
        // Its values would stay in the log: readable in a dead letter, and as a digest that can be guessed.
        if envelope.command.is_personal() {
            let reason = format!(
                "an intake cannot lead to a command with personal fields (`{}`): let the publisher execute it over HTTP",
                envelope.name()
            );
            let identity = Identity::without_content(&self.name, &event);
            return Err(Unreadable { reason, letter: DeadLetter::without_content(&event).into(), identity });
        }
        Ok(Readable { identity: Identity::of_event(&self.name, &event), event, envelope })
    }

    fn is_trusted(&self, event: &CloudEvent) -> bool {
        let publisher = event.publisher().unwrap_or_default();
        let covers = |(who, source): &(String, String)| {
            let known = match who.strip_suffix('>') {
                Some(start) => publisher.starts_with(start),
                None => publisher == who,
            };
            let rest = event.source().strip_prefix(source.as_str());
            known && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || source.ends_with('/'))
        };
        self.trusted.is_empty() || self.trusted.iter().any(covers)
    }

    /// The errors in the declaration.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { name, .. } = self;
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        let mut problems = Vec::new();
        if name.is_empty() || name.len() > 40 || !name.chars().all(is_letter) {
            let rule = "lower-case letters, digits and `_`, at most 40";
            problems.push(format!("the name of an intake has {rule}: rename `{name}`"));
        }
        if !(1..=1_000).contains(&self.prefetch) {
            problems
                .push(format!("the intake `{name}` has a prefetch of {}: 1 to 1,000 are possible", self.prefetch));
        }
        if !(1..=1 << 20).contains(&self.largest) {
            let largest = self.largest;
            problems.push(format!(
                "the intake `{name}` takes messages of {largest} bytes: 1 to 1,048,576 are possible"
            ));
        }
        match &self.source {
            None if self.over_http => {}
            None => {
                problems.push(format!("the intake `{name}` has no source: say where it receives, with `.from(…)`"))
            }
            Some(source) => problems.extend(source.check().err().map(|why| format!("the intake `{name}`: {why}"))),
        }
        problems
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = self.source.as_ref().map(|source| source.origin());
        f.debug_struct("Intake").field("name", &self.name).field("source", &source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use annals_macros::Command;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use super::super::record::{IntakeEvent, IntakeRecord};
    use super::*;
    use crate::aggregates::Loaded;
    use crate::commands::{Context, Handle};

    /// Call a person
    #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[command(name = "call")]
    struct Call {
        #[on(IntakeRecord)]
        intake: IntakeId,
        #[personal]
        phone: String,
    }

    impl Handle for Call {
        fn handle(&self, _: &Loaded<IntakeRecord>, _: &Context) -> Result<Vec<IntakeEvent>, Infallible> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn nothing_of_a_message_with_personal_values_is_kept() {
        let intake = Intake::new("calls", |event| {
            let call =
                Call { intake: IntakeId::new("calls"), phone: event.subject().unwrap_or_default().to_owned() };
            Ok(Envelope::new(call, Context::by("user:ann".parse::<Ref>()?)))
        });
        let letter = |phone: &str| {
            let body = format!(r#"{{"specversion":"1.0","id":"7","source":"/s","type":"t","subject":"{phone}"}}"#);
            let headers = [("note".to_owned(), phone.to_owned())].into();
            let message = IncomingMessage { headers, body: body.into_bytes(), ..IncomingMessage::default() };
            let Unreadable { reason, letter, identity } = intake.read(&message).err().unwrap();
            assert!(reason.contains("personal fields (`call`)"), "{reason}");
            assert!(letter.message().is_none(), "the broker keeps it");
            (serde_json::to_string(&letter).unwrap(), identity)
        };
        let (first, second) = (letter("0123"), letter("4567"));
        assert_eq!(first, second, "the record depends on a value");
        assert!(first.0.contains("\"id\":\"7\""), "{first:?}");
    }

    #[test]
    fn a_publisher_uses_only_the_sources_that_are_trusted() {
        let intake = Intake::new("in", |_| Err("unknown".into())).trust("shop", "/shop").trust("bank.>", "/bank/");
        let reason = |publisher: Option<&str>, source: &str| {
            let body = format!(r#"{{"specversion":"1.0","id":"7","source":"{source}","type":"t"}}"#).into_bytes();
            let publisher = publisher.map(ToOwned::to_owned);
            let message = IncomingMessage { publisher, body, ..IncomingMessage::default() };
            intake.read(&message).err().unwrap().reason
        };
        for (publisher, source) in
            [("shop", "/shop"), ("shop", "/shop/web"), ("bank.eu", "/bank/eu"), ("bank.", "/bank/")]
        {
            assert_eq!(reason(Some(publisher), source), "unknown");
        }
        for (publisher, source) in [
            (Some("shop"), "/shopping"),
            (Some("shop"), "/bank/eu"),
            (Some("bankers"), "/bank/eu"),
            (None, "/shop"),
        ] {
            assert!(reason(publisher, source).contains("may not use the source"), "{publisher:?} {source}");
        }
    }
}
