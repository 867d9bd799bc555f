//! [`IntakeRecord`]: the aggregate of an intake.

use std::collections::BTreeMap;
use std::convert::Infallible;

use annals_macros::{Event, Id};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cloud_event::CloudEvent;
use super::source::IncomingMessage;
use crate::aggregates::Aggregate;
use crate::events::Ref;
use crate::text::{from_hex, hex};

/// The most bytes of the reason of a refusal or a dead letter that are recorded.
const MAX_REASON: usize = 1_024;

/// How much is recorded of a message that is too large.
const PREVIEW: usize = 1_024;

/// The id of the record of an intake: its name.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "annals_intake")]
pub struct IntakeId(String);

/// The decisions of operators about an intake, and the number of its messages without effect.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct IntakeRecord {
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// How many commands were refused.
    pub refused: u64,
    /// How many messages became dead letters.
    pub dead_letters: u64,
    /// How many of those were replayed.
    pub replayed: u64,
}

impl Aggregate for IntakeRecord {
    const TYPE: &'static str = "annals_intake";
    type Id = IntakeId;
    type Event = IntakeEvent;
    type Error = Infallible;

    fn apply(&mut self, event: &IntakeEvent) {
        match event {
            IntakeEvent::Refused { .. } => self.refused += 1,
            IntakeEvent::DeadLettered { .. } => self.dead_letters += 1,
            IntakeEvent::Replayed { .. } => self.replayed += 1,
            IntakeEvent::Paused { why } => self.paused = Some(why.clone()),
            IntakeEvent::Resumed { .. } => self.paused = None,
        }
    }
}

/// The events of an intake's record. A message whose command decided events is not among them: its events are in the log.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "annals_intake", topic = "annals/intake", on = IntakeRecord)]
pub enum IntakeEvent {
    /// The command of a message was refused or denied. The message is acknowledged.
    #[event(refuse, "{actor} was refused {command} by {annals_intake}: {reason}")]
    Refused {
        /// The command's name.
        command: String,
        /// The source of the message.
        source: String,
        /// The id of the message within its source.
        id: String,
        /// The reason.
        reason: String,
    },
    /// A message had no outcome: it could not be read, or its command failed. It is acknowledged, and can be replayed.
    #[event(refuse, "{annals_intake} could not take a message: {reason}")]
    DeadLettered {
        /// Why.
        reason: String,
        /// The message.
        letter: DeadLetter,
    },
    /// Somebody decided that a dead letter is executed after all.
    #[event(update, "{by} replayed event {dead_letter} of {annals_intake}: {why}")]
    Replayed {
        /// The position of the dead letter.
        dead_letter: u64,
        /// The id of its event.
        event: Uuid,
        /// Who decided it. The actor is that of the message.
        #[event(target)]
        by: Ref,
        /// The reason.
        why: String,
    },
    /// Somebody decided that it receives nothing for now.
    #[event(update, "{actor} paused {annals_intake}: {why}")]
    Paused {
        /// The reason.
        why: String,
    },
    /// Somebody decided that it receives again.
    #[event(update, "{actor} resumed {annals_intake}: {why}")]
    Resumed {
        /// The reason.
        why: String,
    },
}

/// A message that had no outcome, as the broker delivered it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetter {
    /// The source of the event, if it could be read.
    pub source: Option<String>,
    /// The id of the event within its source, if it could be read.
    pub id: Option<String>,
    /// Who published it, as the broker says.
    pub publisher: Option<String>,
    /// The content type.
    pub content_type: Option<String>,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body, if it is text.
    pub text: Option<String>,
    /// The body in hexadecimal digits, if it is no text.
    pub hex: Option<String>,
    /// The number of bytes of the body.
    pub bytes: u64,
    /// Whether the whole body is here. One that was too large, or may have personal values, is not: the broker was asked to keep it.
    pub whole: bool,
}

impl DeadLetter {
    pub(super) fn new(event: Option<&CloudEvent>, message: &IncomingMessage, largest: usize) -> Self {
        let whole = message.body.len() <= largest;
        let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let body = if whole { message.body.as_slice() } else { &message.body[..PREVIEW.min(message.body.len())] };
        // PostgreSQL stores no text with NUL.
        let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0')).map(ToOwned::to_owned);
        Self {
            source: event.map(|event| event.source.clone()),
            id: event.map(|event| event.id.clone()),
            publisher: message.publisher.clone(),
            content_type: message.content_type.clone(),
            headers: if headers <= largest { message.headers.clone() } else { BTreeMap::new() },
            hex: text.is_none().then(|| hex(body)),
            text,
            bytes: message.body.len() as u64,
            whole: whole && headers <= largest,
        }
    }

    /// Nothing but where it comes from.
    pub(super) fn without_content(event: &CloudEvent) -> Self {
        Self {
            source: Some(event.source.clone()),
            id: Some(event.id.clone()),
            publisher: event.publisher.clone(),
            content_type: None,
            headers: BTreeMap::new(),
            text: None,
            hex: None,
            bytes: 0,
            whole: false,
        }
    }

    /// The message again, if it is whole.
    pub(super) fn message(&self) -> Option<IncomingMessage> {
        let body = match (&self.text, &self.hex) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, hex) => from_hex(hex.as_deref()?)?,
        };
        self.whole.then(|| IncomingMessage {
            tag: 0,
            publisher: self.publisher.clone(),
            content_type: self.content_type.clone(),
            headers: self.headers.clone(),
            body,
        })
    }
}

/// A reason as it is recorded.
pub(super) fn shortened(reason: &str) -> String {
    reason[..reason.floor_char_boundary(MAX_REASON)].to_owned()
}
