//! [`RpcConnection`]: one WebSocket connection.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket};
use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite;

use super::super::{Caller, EndReason, Live, StreamLifetime};
use super::MAX_MESSAGE;
use super::error::RpcError;
use super::message::{Call, CallId, InvalidCall, Request, Response};
use super::methods::{self, Outcome};
use super::outgoing::OutgoingQueue;
use super::subscriptions::Subscriptions;

/// The most messages in progress at a time. Further ones are not read.
const MAX_IN_PROGRESS: usize = 16;

/// How long calls in progress may take after the lifetime of the connection has ended.
const GRACE: Duration = Duration::from_secs(5);

/// How long the client may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

const TOO_LONG: &str = "message too long";

/// Close codes (RFC 6455, 7.4.1).
mod close {
    pub(super) const AWAY: u16 = 1001;
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const UNSUPPORTED: u16 = 1003;
    pub(super) const INVALID_UTF8: u16 = 1007;
    pub(super) const POLICY: u16 = 1008;
    pub(super) const TOO_LONG: u16 = 1009;
}

/// One WebSocket connection: what its calls share.
pub(super) struct RpcConnection {
    live: Arc<Live>,
    caller: Caller,
    lifetime: StreamLifetime,
}

/// The id of a call, and its outcome.
type CallOutcome = (Option<CallId>, Result<Outcome, RpcError>);

/// The outcomes of a message.
enum MessageOutcome {
    Single(CallOutcome),
    Batch(Vec<CallOutcome>),
}

impl RpcConnection {
    pub(super) fn new(live: Arc<Live>, caller: Caller, lifetime: StreamLifetime) -> Self {
        Self { live, caller, lifetime }
    }

    /// Serves the connection until the client disconnects, violates the protocol, stops answering pings or reading, its
    /// token is not accepted any more, or the server stops.
    pub(super) async fn run(self, socket: WebSocket) {
        let timeouts = self.live.timeouts();
        let (sink, mut incoming) = socket.split();
        let (outgoing, writer) = OutgoingQueue::start(sink, timeouts.slow_client);
        let mut subscriptions = Subscriptions::default();
        let mut in_progress: FuturesUnordered<BoxFuture<'_, MessageOutcome>> = FuturesUnordered::new();
        let mut lifetime = self.lifetime.clone();
        let mut pings = interval(timeouts.heartbeat);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_read = Instant::now();
        let close = loop {
            tokio::select! {
                reason = lifetime.ended() => break Some(match reason {
                    EndReason::Expired => (close::POLICY, "the token has expired"),
                    EndReason::Revoked => (close::POLICY, "the key of the token was withdrawn"),
                    _ => (close::AWAY, "the server stops"),
                }),
                () = outgoing.closed() => break None,
                Some(outcome) = in_progress.next(), if !in_progress.is_empty() => {
                    if respond(outcome, &outgoing, &mut subscriptions).await.is_none() {
                        break None;
                    }
                }
                _ = pings.tick() => {
                    let silent = last_read.elapsed() > timeouts.heartbeat * 2 + timeouts.slow_client * 3;
                    if in_progress.len() < MAX_IN_PROGRESS && silent {
                        break None;
                    }
                    outgoing.ping();
                }
                frame = incoming.next(), if in_progress.len() < MAX_IN_PROGRESS => {
                    last_read = Instant::now();
                    match frame {
                        Some(Ok(frame)) if length(&frame) > MAX_MESSAGE => break Some((close::TOO_LONG, TOO_LONG)),
                        Some(Ok(Frame::Text(text))) => in_progress.push(self.handle(text.as_str().to_owned()).boxed()),
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                        Some(Ok(Frame::Binary(_))) => break Some((close::UNSUPPORTED, "JSON-RPC needs text messages")),
                        Some(Ok(Frame::Close(_))) | None => break None,
                        Some(Err(error)) => break close_for(error),
                    }
                }
            }
        };
        if let Some((close::AWAY | close::POLICY, _)) = close {
            let finish = async {
                while let Some(outcome) = in_progress.next().await {
                    if respond(outcome, &outgoing, &mut subscriptions).await.is_none() {
                        return;
                    }
                }
                subscriptions.ended().await;
            };
            if timeout(GRACE, finish).await.is_err() {
                tracing::debug!("a connection was closed with calls in progress");
            }
        }
        drop((subscriptions, in_progress));
        if let Some((code, reason)) = close {
            outgoing.send_last(Frame::Close(Some(CloseFrame { code, reason: reason.into() })));
            drop(outgoing);
            // The writer sends the queued messages, if the client reads them.
            let _ = timeout(GRACE, writer).await;
        } else {
            writer.abort();
        }
        // Completes the close handshake. Unread input at the end would reset the connection, and the client could lose the
        // close frame.
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = incoming.next().await {} }).await;
    }

    async fn handle(&self, text: String) -> MessageOutcome {
        match Request::parse(&text) {
            Request::Single(call) => MessageOutcome::Single(self.call(call).await),
            Request::Batch(calls) => {
                MessageOutcome::Batch(join_all(calls.into_iter().map(|call| self.call(call))).await)
            }
        }
    }

    async fn call(&self, call: Result<Call<'_>, InvalidCall>) -> CallOutcome {
        let Call { method, params, id } = match call {
            Ok(call) => call,
            Err(InvalidCall { id, error }) => return (Some(id), Err(error)),
        };
        (id, methods::call(&self.live, &self.caller, &self.lifetime, &method, params).await)
    }
}

/// Sends the response, then starts new subscriptions. None: the client has disconnected or is too slow.
async fn respond(
    outcome: MessageOutcome,
    outgoing: &OutgoingQueue,
    subscriptions: &mut Subscriptions,
) -> Option<()> {
    let (calls, batch) = match outcome {
        MessageOutcome::Single(call) => (vec![call], false),
        MessageOutcome::Batch(calls) => (calls, true),
    };
    let (mut responses, mut started) = (Vec::new(), Vec::new());
    for (id, outcome) in calls {
        // A notification gets no response. It cannot subscribe, since nothing would carry the subscription's number.
        let Some(id) = id else { continue };
        let result = match outcome {
            Ok(Outcome::Value(value)) => Ok(value),
            Ok(Outcome::Unsubscribe(number)) => methods::to_json(&subscriptions.unsubscribe(number).await),
            Ok(Outcome::Subscribe(method, items)) => match subscriptions.next_number() {
                Some(number) => {
                    started.push((number, method, items));
                    methods::to_json(&number)
                }
                None => Err(RpcError::too_many("subscriptions")),
            },
            Err(error) => Err(error),
        };
        responses.push(Response::new(id, result));
    }
    let text = match (batch, &responses[..]) {
        (_, []) => None,
        (true, responses) => Some(serde_json::to_string(responses)),
        (false, [response, ..]) => Some(serde_json::to_string(response)),
    };
    if let Some(text) = text {
        let text = text.inspect_err(|error| tracing::error!(%error, "cannot serialise a response")).ok()?;
        outgoing.send(text).await.ok()?;
    }
    for (number, method, items) in started {
        subscriptions.start(number, method, items, outgoing.clone());
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

/// The close code for an error of the client; none if the connection is lost.
fn close_for(error: axum::Error) -> Option<(u16, &'static str)> {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => Some((close::TOO_LONG, TOO_LONG)),
        Some(Error::Utf8(_)) => Some((close::INVALID_UTF8, "a text message is not UTF-8")),
        Some(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => None,
        Some(Error::Protocol(_)) => Some((close::PROTOCOL, "protocol error")),
        _ => None,
    }
}
