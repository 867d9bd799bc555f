//! [`Session`]: one connection, until it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite;

use super::super::{Asker, Closing, Live, Reason};
use super::LONGEST;
use super::code::Fault;
use super::message::{Answer, Call, Id, Invalid, Message};
use super::methods::{self, Done};
use super::outgoing::Outgoing;
use super::subscriptions::Subscriptions;

/// How many messages are worked on at a time; more are not read.
const AT_ONCE: usize = 16;

/// How long what is under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// How long a client that is told that it is over may take to hear it.
const GOODBYE: Duration = Duration::from_secs(2);

const TOO_LONG: &str = "a message is too long";

/// Why the server closes a connection, in the protocol's numbers.
mod close {
    pub(super) const AWAY: u16 = 1001;
    pub(super) const POLICY: u16 = 1008;
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const NO_TEXT: u16 = 1003;
    pub(super) const NO_UTF8: u16 = 1007;
    pub(super) const TOO_LONG: u16 = 1009;
}

/// What is shared by the calls of a connection.
pub(super) struct Session {
    live: Arc<Live>,
    asker: Asker,
    closing: Closing,
}

/// What a call comes to, before it is answered.
type Worked = (Option<Id>, Result<Done, Fault>);

/// What a message comes to.
enum Outcome {
    One(Worked),
    Batch(Vec<Worked>),
}

impl Session {
    pub(super) fn new(live: Arc<Live>, asker: Asker, closing: Closing) -> Self {
        Self { live, asker, closing }
    }

    /// Until the client goes, says what is out of protocol, is silent or takes nothing for too long, its token
    /// expires, or the server stops.
    pub(super) async fn run(self, socket: WebSocket) {
        let pace = self.live.pace;
        let (sink, mut incoming) = socket.split();
        let (outgoing, sending) = Outgoing::start(sink, pace.patience);
        let mut subscriptions = Subscriptions::default();
        let mut working: FuturesUnordered<BoxFuture<'_, Outcome>> = FuturesUnordered::new();
        let mut closing = self.closing.clone();
        let mut pings = interval(pace.heartbeat);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let why = loop {
            tokio::select! {
                reason = closing.closed() => break Some(match reason {
                    Reason::Expired => (close::POLICY, "the token has expired"),
                    _ => (close::AWAY, "the server stops"),
                }),
                () = outgoing.closed() => break None,
                Some(outcome) = working.next(), if !working.is_empty() => {
                    if settle(outcome, &outgoing, &mut subscriptions).await.is_none() {
                        break None;
                    }
                }
                _ = pings.tick() => {
                    if working.len() < AT_ONCE && heard.elapsed() > pace.heartbeat * 2 + pace.patience * 3 {
                        break None;
                    }
                    outgoing.ping();
                }
                frame = incoming.next(), if working.len() < AT_ONCE => {
                    heard = Instant::now();
                    match frame {
                        Some(Ok(frame)) if length(&frame) > LONGEST => break Some((close::TOO_LONG, TOO_LONG)),
                        Some(Ok(Frame::Text(text))) => working.push(self.work(text.as_str().to_owned()).boxed()),
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                        Some(Ok(Frame::Binary(_))) => break Some((close::NO_TEXT, "JSON-RPC is text")),
                        Some(Ok(Frame::Close(_))) | None => break None,
                        Some(Err(error)) => break out_of_protocol(error),
                    }
                }
            }
        };
        if let Some((close::AWAY | close::POLICY, _)) = why {
            let goodbye = async {
                while let Some(outcome) = working.next().await {
                    if settle(outcome, &outgoing, &mut subscriptions).await.is_none() {
                        return;
                    }
                }
                subscriptions.ended().await;
            };
            if timeout(GRACE, goodbye).await.is_err() {
                tracing::debug!("a connection was closed with calls under way");
            }
        }
        drop((subscriptions, working));
        if let Some((code, reason)) = why {
            outgoing.end(Frame::Close(Some(CloseFrame { code, reason: reason.into() })));
            drop(outgoing);
            // What is queued goes out, if the client takes it.
            let _ = timeout(GRACE, sending).await;
        } else {
            sending.abort();
        }
        // A client that says goodbye is answered; and what is not read when a connection is closed takes the server's own
        // goodbye with it.
        let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = incoming.next().await {} }).await;
    }

    async fn work(&self, text: String) -> Outcome {
        match Message::read(&text) {
            Message::One(call) => Outcome::One(self.call(call).await),
            Message::Batch(calls) => Outcome::Batch(join_all(calls.into_iter().map(|call| self.call(call))).await),
        }
    }

    async fn call(&self, call: Result<Call<'_>, Invalid>) -> Worked {
        let Call { method, params, id } = match call {
            Ok(call) => call,
            Err(Invalid { id, fault }) => return (Some(id), Err(fault)),
        };
        (id, methods::call(&self.live, &self.asker, &self.closing, &method, params).await)
    }
}

/// Answers; what was asked to be followed begins when it is answered. None: the client is gone or too slow.
async fn settle(outcome: Outcome, outgoing: &Outgoing, subscriptions: &mut Subscriptions) -> Option<()> {
    let (calls, batch) = match outcome {
        Outcome::One(call) => (vec![call], false),
        Outcome::Batch(calls) => (calls, true),
    };
    let (mut answers, mut begin) = (Vec::new(), Vec::new());
    for (id, result) in calls {
        // A notification is not answered; one that asks to follow something could not be told its number.
        let Some(id) = id else { continue };
        let result = match result {
            Ok(Done::Answer(answer)) => Ok(answer),
            Ok(Done::Leave(number)) => methods::raw(&subscriptions.leave(number).await),
            Ok(Done::Follow(method, steps)) => match subscriptions.number() {
                Some(number) => {
                    begin.push((number, method, steps));
                    methods::raw(&number)
                }
                None => Err(Fault::too_many("subscriptions")),
            },
            Err(fault) => Err(fault),
        };
        answers.push(Answer::new(id, result));
    }
    let text = match (batch, &answers[..]) {
        (_, []) => None,
        (true, answers) => Some(serde_json::to_string(answers)),
        (false, [answer, ..]) => Some(serde_json::to_string(answer)),
    };
    if let Some(text) = text {
        let text = text.inspect_err(|error| tracing::error!(%error, "an answer cannot be written as JSON")).ok()?;
        outgoing.send(text).await.ok()?;
    }
    for (number, method, steps) in begin {
        subscriptions.start(number, method, steps, outgoing.clone());
    }
    Some(())
}

fn length(frame: &Frame) -> usize {
    match frame {
        Frame::Text(text) => text.as_str().len(),
        Frame::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

/// What is said to a client that does not speak WebSocket as it should; nothing where the line just broke.
fn out_of_protocol(error: axum::Error) -> Option<(u16, &'static str)> {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => Some((close::TOO_LONG, TOO_LONG)),
        Some(Error::Utf8(_)) => Some((close::NO_UTF8, "a text is not UTF-8")),
        Some(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => None,
        Some(Error::Protocol(_)) => Some((close::PROTOCOL, "out of protocol")),
        _ => None,
    }
}
