//! [`Stream`]: what is asked of the stream: store a message, return one, return those after a sequence.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::link::{Link, NoAnswer};
use super::location::StreamLocation;
use super::message::{Encoded, Message};

/// The most messages, and bytes, that a request returns.
const PAGE_MESSAGES: u64 = 512;
const PAGE_BYTES: u64 = 8 << 20;
/// A sequence that no stream has: a message that expects it is refused, with the sequence of the last message.
const NEVER: u64 = i64::MAX as u64;

/// The server's error codes.
const STREAM_NOT_FOUND: u64 = 10_059;
const NO_MESSAGE: u64 = 10_037;
const WRONG_LAST_SEQUENCE: u64 = 10_071;
/// There is no leader, as far as this server knows.
const NO_LEADER: [u64; 2] = [10_008, 10_009];

/// The answer to a message that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// It is in the stream, at this sequence.
    Stored(u64),
    /// The stream does not end as it expects, but with this sequence: not always what is in the stream by then.
    WrongLast(u64),
    /// The server refuses it, now at least.
    Refused(String),
}

/// A stream as the server describes it.
#[derive(Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: Value,
    pub(super) state: StreamState,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamState {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// A message with its sequence.
pub(super) type At = (u64, Message);

#[derive(Debug, Deserialize)]
struct ApiError {
    err_code: u64,
    description: String,
}

#[derive(Debug, Deserialize)]
struct PublishAnswer {
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
struct GetAnswer {
    message: Option<StoredMessage>,
    error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
struct StoredMessage {
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// The stream of a log.
pub(super) struct Stream {
    pub(super) link: Link,
    subject: String,
}

impl Stream {
    pub(super) fn new(location: StreamLocation) -> Self {
        let subject = location.subject();
        Self { link: Link::new(location), subject }
    }

    pub(super) fn location(&self) -> &StreamLocation {
        &self.link.location
    }

    async fn api<T: for<'a> Deserialize<'a>>(&mut self, request: &str, body: &Value) -> Result<T, NoAnswer> {
        let subject = format!("$JS.API.{request}.{}", self.location().name);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.link.request(&subject, None, body).await?;
        serde_json::from_slice(&answer.payload)
            .map_err(|error| NoAnswer::Lost(format!("the answer to `{subject}` cannot be read: {error}")))
    }

    /// Returns the stream; `None` if the servers have none of this name.
    pub(super) async fn info(&mut self) -> Result<Option<StreamInfo>, NoAnswer> {
        self.described("STREAM.INFO", &Value::Null).await
    }

    /// Creates the stream. If there is one already, the caller finds out by [`info`](Self::info).
    pub(super) async fn create(&mut self, config: &Value) -> Result<(), NoAnswer> {
        self.described("STREAM.CREATE", config).await.map(drop)
    }

    async fn described(&mut self, request: &str, body: &Value) -> Result<Option<StreamInfo>, NoAnswer> {
        let answer: Value = self.api(request, body).await?;
        if let Some(error) = answer.get("error") {
            let code = error.get("err_code").and_then(Value::as_u64);
            return match code {
                Some(STREAM_NOT_FOUND) => Ok(None),
                _ => Err(self.link.missed(request, &error.to_string())),
            };
        }
        serde_json::from_value(answer).map(Some).map_err(|error| NoAnswer::Lost(format!("{request}: {error}")))
    }

    /// Sends a message.
    pub(super) async fn publish(&mut self, message: &Encoded) -> Result<Published, NoAnswer> {
        let subject = self.subject.clone();
        let answer = self.link.request(&subject, Some(message.headers.clone()), message.body.clone()).await?;
        let answer: PublishAnswer = serde_json::from_slice(&answer.payload)
            .map_err(|error| NoAnswer::Lost(format!("the answer to a message cannot be read: {error}")))?;
        Ok(match answer.error {
            None => Published::Stored(answer.seq),
            Some(error) if error.err_code == WRONG_LAST_SEQUENCE => {
                let last = error.description.rsplit(' ').next().and_then(|number| number.parse().ok());
                Published::WrongLast(last.unwrap_or(0))
            }
            Some(ApiError { err_code, description }) if NO_LEADER.contains(&err_code) => {
                return Err(self.link.missed(&subject, &format!("{description} ({err_code})")));
            }
            Some(ApiError { err_code, description }) => Published::Refused(format!("{description} ({err_code})")),
        })
    }

    /// Returns the sequence of the last message, as the leader has it, by a message that it cannot store: so the answer also shows that
    /// this process may publish.
    pub(super) async fn probe(&mut self) -> Result<u64, NoAnswer> {
        let name = self.location().name.clone();
        let probe = Message::Release { process: uuid::Uuid::nil() }.encode().expecting(&name, NEVER);
        match self.publish(&probe).await? {
            Published::WrongLast(last) => Ok(last),
            other => Err(NoAnswer::Lost(format!("the stream does not keep the fence: {other:?}"))),
        }
    }

    /// Returns the message at a sequence, as the leader has it.
    pub(super) async fn get(&mut self, sequence: u64) -> Result<Option<Message>, NoAnswer> {
        let answer: GetAnswer = self.api("STREAM.MSG.GET", &json!({ "seq": sequence })).await?;
        if let Some(error) = answer.error {
            return match error.err_code {
                NO_MESSAGE => Ok(None),
                code => Err(self.link.missed("STREAM.MSG.GET", &format!("{} ({code})", error.description))),
            };
        }
        let message = answer.message.ok_or_else(|| NoAnswer::Lost("a message without content".to_owned()))?;
        let bytes = |text: &str| {
            STANDARD.decode(text).map_err(|error| NoAnswer::Lost(format!("message {sequence}: {error}")))
        };
        let (headers, body) = (bytes(&message.hdrs)?, bytes(&message.data)?);
        Ok(Some(Message::decode_text(&String::from_utf8_lossy(&headers), &body)))
    }

    /// Returns some messages after a sequence, in order: none if a server has no more. That may be one that lags.
    pub(super) async fn after(&mut self, sequence: u64) -> Result<Vec<At>, NoAnswer> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.location().name);
        let request = json!({ "seq": sequence + 1, "batch": PAGE_MESSAGES, "max_bytes": PAGE_BYTES });
        let answers = self.link.request_many(&subject, request.to_string().into_bytes()).await?;
        let mut messages = Vec::with_capacity(answers.len());
        for answer in answers {
            let headers = answer.headers.unwrap_or_default();
            let header = |name: &str| headers.get(name).map(|value| value.as_str());
            let Some(at) = header("Nats-Sequence").and_then(|text| text.parse::<u64>().ok()) else { break };
            let next = messages.last().map_or(sequence, |(last, _)| *last) + 1;
            if at != next {
                // One that was lost on the way is asked for again; if the stream lacks it, the first one shows it.
                if messages.is_empty() {
                    return Err(NoAnswer::Unfit(format!(
                        "the stream has no message {next}, but message {at}: messages were removed; restore the stream"
                    )));
                }
                break;
            }
            messages.push((at, Message::decode(header, &answer.payload)));
        }
        Ok(messages)
    }
}
