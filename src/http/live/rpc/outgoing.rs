//! What a connection sends: a queue with an end, and the task behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much waits for a client that is slow, in kibibytes; one message may be longer.
const WAITING: u32 = 256;

/// How many messages are written before they are sent off.
const AT_ONCE: usize = 32;

/// The end of the queue at which messages are put in.
#[derive(Clone)]
pub(super) struct Outgoing {
    queue: UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    patience: Duration,
}

/// A message, and the room that it takes up until it is written.
type Waiting = (Message, Option<OwnedSemaphorePermit>);

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
    /// takes nothing for three times as long as one is patient with it.
    pub(super) fn start(sink: SplitSink<WebSocket, Message>, patience: Duration) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let sending = tokio::spawn(send(sink, waiting, patience * 3));
        (Self { queue, room: Arc::new(Semaphore::new(WAITING as usize)), patience }, sending)
    }

    /// Puts a message in as soon as there is room.
    pub(super) async fn send(&self, text: String) -> Result<(), Unsent> {
        let kibibytes = u32::try_from(text.len() / 1_024 + 1).unwrap_or(WAITING).min(WAITING);
        let room = timeout(self.patience, self.room.clone().acquire_many_owned(kibibytes)).await;
        let room = room.map_err(|_| Unsent::Slow)?.map_err(|_| Unsent::Gone)?;
        self.queue.send((Message::Text(Utf8Bytes::from(text)), Some(room))).map_err(|_| Unsent::Gone)
    }

    /// Puts in the last message of a subscription, or of all, for which there is always room.
    pub(super) fn end(&self, message: Message) {
        // An error means that the client is gone.
        let _ = self.queue.send((message, None));
    }

    /// Asks whether the client is still there, unless there is something else to be taken first.
    pub(super) fn ping(&self) {
        if let Ok(room) = self.room.clone().try_acquire_owned() {
            let _ = self.queue.send((Message::Ping(axum::body::Bytes::new()), Some(room)));
        }
    }

    /// Returns when nothing can be sent any more.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

async fn send(mut sink: SplitSink<WebSocket, Message>, mut queue: UnboundedReceiver<Waiting>, patience: Duration) {
    let mut messages = Vec::with_capacity(AT_ONCE);
    while queue.recv_many(&mut messages, AT_ONCE).await > 0 {
        let sent = async {
            for (message, room) in messages.drain(..) {
                sink.feed(message).await?;
                drop(room);
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
