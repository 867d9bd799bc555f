//! [`OutgoingQueue`]: a bounded queue of outgoing messages, and the task that writes them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures::SinkExt;
use futures::stream::SplitSink;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The capacity in KiB. A single message may be longer.
const CAPACITY: u32 = 256;

/// How many messages are written before a flush.
const FLUSH_INTERVAL: usize = 32;

/// The sending end of the queue.
#[derive(Clone)]
pub(super) struct OutgoingQueue {
    queue: UnboundedSender<Queued>,
    capacity: Arc<Semaphore>,
    slow_client: Duration,
}

/// A message, and the capacity that it holds until it is written.
type Queued = (Message, Option<OwnedSemaphorePermit>);

/// Why a message cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The client reads too slowly.
    Slow,
    /// The client has disconnected.
    Disconnected,
}

impl OutgoingQueue {
    /// Starts the writer task. It ends with the connection, when no sender is left, or when the client reads nothing for
    /// three times `slow_client`.
    pub(super) fn start(sink: SplitSink<WebSocket, Message>, slow_client: Duration) -> (Self, JoinHandle<()>) {
        let (queue, queued) = mpsc::unbounded_channel();
        let writer = tokio::spawn(write(sink, queued, slow_client * 3));
        (Self { queue, capacity: Arc::new(Semaphore::new(CAPACITY as usize)), slow_client }, writer)
    }

    /// Queues a message as soon as there is capacity.
    pub(super) async fn send(&self, text: String) -> Result<(), SendError> {
        let kibibytes = u32::try_from(text.len() / 1_024 + 1).unwrap_or(CAPACITY).min(CAPACITY);
        let permit = timeout(self.slow_client, self.capacity.clone().acquire_many_owned(kibibytes)).await;
        let permit = permit.map_err(|_| SendError::Slow)?.map_err(|_| SendError::Disconnected)?;
        let message = Message::Text(Utf8Bytes::from(text));
        self.queue.send((message, Some(permit))).map_err(|_| SendError::Disconnected)
    }

    /// Queues the last message of a subscription or of the connection, whatever the capacity.
    pub(super) fn send_last(&self, message: Message) {
        // An error means that the client has disconnected.
        let _ = self.queue.send((message, None));
    }

    /// Queues a ping if there is capacity. Otherwise the queued messages detect a disconnect.
    pub(super) fn ping(&self) {
        if let Ok(permit) = self.capacity.clone().try_acquire_owned() {
            let _ = self.queue.send((Message::Ping(axum::body::Bytes::new()), Some(permit)));
        }
    }

    /// Returns when the writer task has ended.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut queue: UnboundedReceiver<Queued>,
    write_timeout: Duration,
) {
    let mut messages = Vec::with_capacity(FLUSH_INTERVAL);
    while queue.recv_many(&mut messages, FLUSH_INTERVAL).await > 0 {
        let writing = async {
            for (message, permit) in messages.drain(..) {
                sink.feed(message).await?;
                drop(permit);
            }
            sink.flush().await
        };
        match timeout(write_timeout, writing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::debug!(%error, "a connection ended early"),
            Err(_) => return tracing::debug!("a client read nothing for {write_timeout:?} and was disconnected"),
        }
    }
}
