//! [`WriteLockHandle`]: the caller's end of a write lock, for a store whose lock is held by a task or a thread.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Batch, Outcome, StoreError, WriteLock};
use crate::events::{Ref, Stored};

/// The answer to a request.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request of the caller to the task or thread that holds the lock. One that is dropped had no effect: its caller gets
/// [`StoreError::Busy`].
pub(super) enum LockRequest {
    /// [`WriteLock::load`].
    Load { aggregate: Ref, after: u64, reply: HarmlessReply<Vec<Stored>> },
    /// [`WriteLock::append`]. Take the reply before anything is written.
    Append { batch: Batch, reply: HarmlessReply<Vec<Outcome>> },
}

/// The answer to a request that has written nothing yet. Dropping it answers that the lock has expired.
pub(super) struct HarmlessReply<T> {
    reply: Option<Reply<T>>,
    hold: Duration,
}

impl<T> HarmlessReply<T> {
    pub(super) fn send(mut self, answer: Result<T, StoreError>) {
        if let Some(reply) = self.reply.take() {
            // A caller that does not wait any longer needs no answer.
            let _ = reply.send(answer);
        }
    }

    /// Returns the reply of a request that begins to write: dropped without an answer, its outcome is unknown.
    pub(super) fn begin(mut self) -> Option<Reply<T>> {
        self.reply.take()
    }
}

impl<T> Drop for HarmlessReply<T> {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(Err(StoreError::Busy(self.hold)));
        }
    }
}

/// The caller's end. Dropping it closes the channel, and the other end releases the lock.
pub(super) struct WriteLockHandle {
    /// Sends a request, or drops it if the other end has gone.
    send: Box<dyn Fn(LockRequest) + Send + Sync>,
    hold: Duration,
}

impl WriteLockHandle {
    pub(super) fn new(hold: Duration, send: impl Fn(LockRequest) + Send + Sync + 'static) -> Self {
        Self { send: Box::new(send), hold }
    }

    async fn request<T>(&self, request: impl FnOnce(HarmlessReply<T>) -> LockRequest) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        (self.send)(request(HarmlessReply { reply: Some(reply), hold: self.hold }));
        // Without an answer, the other end panicked or its runtime was shut down in mid-append.
        answer.await.unwrap_or_else(|closed| Err(StoreError::OutcomeUnknown(closed.into())))
    }
}

#[async_trait]
impl WriteLock for WriteLockHandle {
    async fn load(&mut self, aggregate: &Ref, after: u64) -> Result<Vec<Stored>, StoreError> {
        let aggregate = aggregate.clone();
        self.request(|reply| LockRequest::Load { aggregate, after, reply }).await
    }

    async fn append(self: Box<Self>, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.request(|reply| LockRequest::Append { batch, reply }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;

    use super::*;

    const HOLD: Duration = Duration::from_secs(5);

    fn pair() -> (Box<WriteLockHandle>, mpsc::Receiver<LockRequest>) {
        let (sender, requests) = mpsc::channel();
        (Box::new(WriteLockHandle::new(HOLD, move |request| drop(sender.send(request)))), requests)
    }

    /// The request is in the queue when the lock ends: the other end looked into the queue just before.
    #[tokio::test]
    async fn a_request_that_the_end_of_the_lock_overtakes_is_busy_not_unknown() {
        let (lock, requests) = pair();
        let mut append = lock.append(Batch::new(Vec::new()));
        assert!((&mut append).now_or_never().is_none(), "it waits");
        drop(requests);
        assert!(matches!(append.await, Err(StoreError::Busy(HOLD))));

        let (mut lock, requests) = pair();
        let aggregate = "tally:a".parse().unwrap();
        let mut load = lock.load(&aggregate, 0);
        assert!((&mut load).now_or_never().is_none(), "it waits");
        drop(requests);
        assert!(matches!(load.await, Err(StoreError::Busy(HOLD))));
        assert!(
            matches!(lock.append(Batch::new(Vec::new())).await, Err(StoreError::Busy(HOLD))),
            "sent afterwards"
        );
    }

    #[tokio::test]
    async fn an_append_that_was_begun_and_has_no_answer_is_unknown() {
        let (lock, requests) = pair();
        let mut append = lock.append(Batch::new(Vec::new()));
        assert!((&mut append).now_or_never().is_none(), "it waits");
        let Ok(LockRequest::Append { reply, .. }) = requests.recv() else { panic!("an append") };
        drop(reply.begin());
        assert!(matches!(append.await, Err(StoreError::OutcomeUnknown(_))));
    }
}
