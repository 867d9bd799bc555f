//! What a connection sends: a queue with an end, and the task behind it.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::time::timeout;

use super::subscriptions::MOST_SUBSCRIPTIONS;

/// How many messages wait for a client that is slow.
const WAITING: usize = 64;

/// How many are written before they are sent off.
const AT_ONCE: usize = 32;

/// The end of the queue at which messages are put in.
#[derive(Clone)]
pub(super) struct Outgoing {
    queue: mpsc::Sender<Message>,
    patience: Duration,
}

/// Room for one message, kept for when there is none.
pub(super) struct Room(OwnedPermit<Message>);

/// A message did not find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// The client takes nothing.
    Slow,
    /// The client is gone.
    Gone,
}

impl Outgoing {
    /// Begins to send. It ends with the connection, when nobody is left who could put something in, or when the client
    /// takes nothing for twice as long as one is patient with it.
    pub(super) fn start(
        sink: SplitSink<WebSocket, Message>,
        patience: Duration,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(WAITING + MOST_SUBSCRIPTIONS);
        let task = tokio::spawn(send(sink, waiting, patience * 2));
        (Self { queue, patience }, task)
    }

    /// Puts a message in as soon as there is room.
    pub(super) async fn send(&self, text: String) -> Result<(), Unsent> {
        match timeout(self.patience, self.queue.reserve()).await {
            Ok(Ok(room)) => {
                room.send(Message::Text(Utf8Bytes::from(text)));
                Ok(())
            }
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Slow),
        }
    }

    /// Puts the last message in, if there is room.
    pub(super) fn end(&self, message: Message) {
        // Where there is none, the client does not listen.
        let _ = self.queue.try_send(message);
    }

    /// Keeps room for one message.
    pub(super) async fn room(&self) -> Result<Room, Unsent> {
        match timeout(self.patience, self.queue.clone().reserve_owned()).await {
            Ok(Ok(room)) => Ok(Room(room)),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Slow),
        }
    }

    /// Returns when nothing can be sent any more.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl Room {
    /// Puts the message in.
    pub(super) fn send(self, text: String) {
        self.0.send(Message::Text(Utf8Bytes::from(text)));
    }
}

async fn send(mut sink: SplitSink<WebSocket, Message>, mut waiting: mpsc::Receiver<Message>, patience: Duration) {
    let mut messages = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut messages, AT_ONCE).await > 0 {
        let sent = async {
            for message in messages.drain(..) {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        match timeout(patience, sent).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended early"),
            Err(_) => return tracing::debug!("a connection took nothing for {patience:?} and was closed"),
        }
    }
}
