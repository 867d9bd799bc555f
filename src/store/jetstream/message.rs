//! [`Message`]: a message of the stream. What it is, is in its headers; the rows of a batch are its body.
//!
//! Each batch names the batch before it. So the batches are a chain, and a message that does not continue the chain is void for every
//! process: one of another sender, or of a process that did not notice that the stream was restored.

use std::time::Duration;

use async_nats::HeaderMap;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the messages.
const VERSION: u64 = 1;

const FORMAT: &str = "Annals-Format";
const KIND: &str = "Annals-Kind";
const ID: &str = "Annals-Id";
const PREVIOUS: &str = "Annals-Previous";
const PROCESS: &str = "Annals-Process";
const TURN: &str = "Annals-Turn";
const LIVES: &str = "Annals-Lives";
const EXPECTED: &str = "Nats-Expected-Last-Sequence";
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// The first message of a stream: whose log it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Genesis {
    pub(super) log_id: String,
    pub(super) app: String,
    /// Of this stream: another stream of the same log has another one.
    pub(super) incarnation: Uuid,
}

/// A batch: some commits, or none, which shows that nothing else was appended after the batch before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchMessage {
    pub(super) id: Uuid,
    /// The id of the batch before it; of the first batch, the incarnation.
    pub(super) previous: Uuid,
    pub(super) process: Uuid,
    /// Whether the turn of the process ends with it.
    pub(super) ends_turn: bool,
    pub(super) rows: Vec<u8>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Genesis(Genesis),
    Batch(BatchMessage),
    /// A process wants to append without being overtaken, for this long at most.
    Claim {
        process: Uuid,
        lives: Duration,
    },
    /// A process no longer needs its turn.
    Release {
        process: Uuid,
    },
    /// It is of a newer version of this crate.
    Newer(u64),
    /// It is none of annals.
    Foreign,
}

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Encoded {
    /// The same message, which is stored only if the stream ends with this sequence.
    pub(super) fn expecting(mut self, stream: &str, last: u64) -> Self {
        self.headers.insert(EXPECTED_STREAM, stream);
        self.headers.insert(EXPECTED, last.to_string());
        self
    }
}

impl Message {
    pub(super) fn encode(&self) -> Encoded {
        let mut headers = HeaderMap::new();
        headers.insert(FORMAT, VERSION.to_string());
        let mut body = Vec::new();
        match self {
            Self::Genesis(genesis) => {
                headers.insert(KIND, "genesis");
                // Three texts: it cannot fail.
                body = serde_json::to_vec(genesis).unwrap_or_default();
            }
            Self::Batch(batch) => {
                headers.insert(KIND, "batch");
                headers.insert(ID, batch.id.to_string());
                headers.insert(PREVIOUS, batch.previous.to_string());
                headers.insert(PROCESS, batch.process.to_string());
                headers.insert(TURN, if batch.ends_turn { "ends" } else { "continues" });
                body.clone_from(&batch.rows);
            }
            Self::Claim { process, lives } => {
                headers.insert(KIND, "claim");
                headers.insert(PROCESS, process.to_string());
                headers.insert(LIVES, lives.as_millis().to_string());
            }
            Self::Release { process } => {
                headers.insert(KIND, "release");
                headers.insert(PROCESS, process.to_string());
            }
            Self::Newer(_) | Self::Foreign => {}
        }
        Encoded { headers, body }
    }

    /// Reads a message by its headers, which a function looks up.
    pub(super) fn decode<'a>(header: impl Fn(&str) -> Option<&'a str>, body: &[u8]) -> Self {
        match header(FORMAT).and_then(|version| version.parse().ok()) {
            Some(VERSION) => {}
            Some(newer) => return Self::Newer(newer),
            None => return Self::Foreign,
        }
        let id = |name: &str| header(name).and_then(|text| Uuid::parse_str(text).ok());
        let decoded = || {
            Some(match header(KIND)? {
                "genesis" => Self::Genesis(serde_json::from_slice(body).ok()?),
                "batch" => Self::Batch(BatchMessage {
                    id: id(ID)?,
                    previous: id(PREVIOUS)?,
                    process: id(PROCESS)?,
                    ends_turn: header(TURN)? == "ends",
                    rows: body.to_vec(),
                }),
                "claim" => Self::Claim {
                    process: id(PROCESS)?,
                    lives: Duration::from_millis(header(LIVES)?.parse().ok()?),
                },
                "release" => Self::Release { process: id(PROCESS)? },
                _ => return None,
            })
        };
        decoded().unwrap_or(Self::Foreign)
    }

    /// The message whose headers are this text: `NATS/1.0`, then a line each.
    pub(super) fn decode_text(headers: &str, body: &[u8]) -> Self {
        let lines: Vec<(&str, &str)> = headers.lines().filter_map(|line| line.split_once(':')).collect();
        let header = |name: &str| lines.iter().find(|(found, _)| *found == name).map(|(_, value)| value.trim());
        Self::decode(header, body)
    }

    /// The id of a batch.
    pub(super) fn batch_id(&self) -> Option<Uuid> {
        match self {
            Self::Batch(batch) => Some(batch.id),
            Self::Genesis(genesis) => Some(genesis.incarnation),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(message: &Encoded) -> Message {
        Message::decode(|name| message.headers.get(name).map(|value| value.as_str()), &message.body)
    }

    #[test]
    fn a_message_is_read_back_as_it_was() {
        let id = Uuid::from_u128(7);
        for message in [
            Message::Genesis(Genesis { log_id: "x".to_owned(), app: "shop".to_owned(), incarnation: id }),
            Message::Batch(BatchMessage {
                id,
                previous: Uuid::from_u128(6),
                process: Uuid::from_u128(5),
                ends_turn: true,
                rows: vec![0, 1, 255],
            }),
            Message::Claim { process: id, lives: Duration::from_millis(250) },
            Message::Release { process: id },
        ] {
            assert_eq!(decoded(&message.encode()), message);
            let text: String =
                message.encode().headers.iter().fold("NATS/1.0\r\n".to_owned(), |text, (name, values)| {
                    values.iter().fold(text, |text, value| format!("{text}{name}: {}\r\n", value.as_str()))
                });
            assert_eq!(Message::decode_text(&text, &message.encode().body), message);
        }
    }

    #[test]
    fn a_message_of_another_program_is_foreign_and_one_of_a_newer_version_is_noticed() {
        let mut batch = Message::Release { process: Uuid::nil() }.encode();
        batch.headers.insert(KIND, "surprise");
        assert_eq!(decoded(&batch), Message::Foreign);
        batch.headers.insert(FORMAT, "2");
        assert_eq!(decoded(&batch), Message::Newer(2));
        assert_eq!(Message::decode(|_| None, b"hello"), Message::Foreign);
    }
}
