//! [`WriteLockHandle`]: the caller's end of a write lock, for a store whose lock is held by a task or a thread.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{Batch, Outcome, StoreError, WriteLock};
use crate::events::{Ref, Stored};

/// The answer to a request.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request of the caller to the task or thread that holds the lock.
pub(super) enum LockRequest {
    /// [`WriteLock::load`].
    Load { aggregate: Ref, after: u64, reply: Reply<Vec<Stored>> },
    /// [`WriteLock::append`].
    Append { batch: Batch, reply: Reply<Vec<Outcome>> },
}

impl LockRequest {
    /// Answers a request that arrived after the lock had expired: it has no effect.
    pub(super) fn expired(self, hold: Duration) {
        // A caller that does not wait any longer needs no answer.
        match self {
            Self::Load { reply, .. } => drop(reply.send(Err(StoreError::Busy(hold)))),
            Self::Append { reply, .. } => drop(reply.send(Err(StoreError::Busy(hold)))),
        }
    }
}

/// The caller's end. Dropping it closes the channel, and the other end releases the lock.
pub(super) struct WriteLockHandle {
    /// Sends a request; `false` once the other end has gone.
    send: Box<dyn Fn(LockRequest) -> bool + Send + Sync>,
    hold: Duration,
}

impl WriteLockHandle {
    pub(super) fn new(hold: Duration, send: impl Fn(LockRequest) -> bool + Send + Sync + 'static) -> Self {
        Self { send: Box::new(send), hold }
    }

    async fn request<T>(&self, request: impl FnOnce(Reply<T>) -> LockRequest) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        if !(self.send)(request(reply)) {
            return Err(StoreError::Busy(self.hold));
        }
        // The other end answers every request, unless it panicked or its runtime was shut down, perhaps in mid-append.
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
