//! A write lock: the transaction that holds it, and the task that serves the caller's requests in it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Executor;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::append::{append, read_result};
use super::columns::Columns;
use super::connections::{Loan, Purpose};
use super::location::SchemaLocation;
use super::notices;
use super::reader;
use super::writer::{ANSWER, DOING, Shared, Unconfirmed};
use crate::events::LogPosition;
use crate::store::sequence_cache::SequenceCache;
use crate::store::write_lock::{LockRequest, WriteLockHandle};
use crate::store::{Batch, Outcome, StoreError};

/// Waits for the lock, starts the task that holds it and returns the caller's end.
pub(super) async fn acquire(
    shared: Arc<Shared>,
    wait: Duration,
    hold: Duration,
) -> Result<WriteLockHandle, StoreError> {
    // The server ends the wait itself; this limit is for a server that does not answer.
    let locked = tokio::time::timeout(wait + Duration::from_secs(1), lock(&shared.location, wait, hold));
    let connection = locked.await.unwrap_or(Err(StoreError::Busy(wait)))?;
    let (sender, requests) = mpsc::unbounded_channel();
    let held = HeldLock { shared, connection, requests, hold, until: Instant::now() + hold };
    tokio::spawn(held.serve());
    Ok(WriteLockHandle::new(hold, move |request| drop(sender.send(request))))
}

/// Returns a connection in a transaction that holds the lock. If this process stops running, the server ends it.
async fn lock(location: &SchemaLocation, wait: Duration, hold: Duration) -> Result<Loan, StoreError> {
    let mut connection = location.lend_to_write(Purpose::WriteLock).await?;
    let sql = location.sql(&format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {}; SELECT FROM {{schema}}.hold(); \
         SET LOCAL idle_in_transaction_session_timeout = {}",
        milliseconds(wait),
        milliseconds(hold)
    ));
    let locked = connection.execute(sql.as_str()).await;
    locked.map_err(|error| match location.fault("waiting for the lock", error) {
        StoreError::Busy(_) => StoreError::Busy(wait),
        other => other,
    })?;
    Ok(connection)
}

/// Returns the milliseconds for a setting in which 0 means no limit.
fn milliseconds(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX as u128)
}

/// The task's end. Dropping the connection rolls the transaction back.
struct HeldLock {
    shared: Arc<Shared>,
    connection: Loan,
    requests: mpsc::UnboundedReceiver<LockRequest>,
    hold: Duration,
    until: Instant,
}

impl HeldLock {
    /// Serves requests until the caller appends, drops its handle, or its time is over.
    async fn serve(mut self) {
        if self.serve_in_time().await {
            self.connection.give_back();
        }
    }

    /// Returns whether the transaction was committed.
    async fn serve_in_time(&mut self) -> bool {
        while let Ok(Some(request)) = tokio::time::timeout_at(self.until, self.requests.recv()).await {
            match request {
                LockRequest::Load { aggregate, after, reply } => {
                    let loading =
                        reader::load_on(&self.shared.location, &mut self.connection, &aggregate, after, usize::MAX);
                    let loaded = tokio::time::timeout_at(self.until, loading).await;
                    let over = loaded.is_err();
                    reply.send(loaded.unwrap_or(Err(StoreError::Busy(self.hold))));
                    if over {
                        return false;
                    }
                }
                LockRequest::Append { batch, reply } => {
                    let reply = reply.begin();
                    let appended = tokio::time::timeout(ANSWER, self.append(&batch)).await;
                    let appended =
                        appended.unwrap_or_else(|elapsed| Err(StoreError::OutcomeUnknown(elapsed.into())));
                    let committed = appended.is_ok();
                    // The commit is in the log even if the caller no longer waits.
                    let _ = reply.map(|reply| reply.send(appended));
                    return committed;
                }
            }
        }
        false
    }

    /// Appends and commits. Before COMMIT is sent, nothing can have been written.
    async fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let Self { shared, connection, hold, until, .. } = self;
        let now = shared.now()?;
        let columns = Columns::from_batch(batch, &SequenceCache::default(), now);
        let row = append(shared, connection, &columns, now, LogPosition::default()).await.map_err(|error| {
            let over = Instant::now() >= *until;
            if over { StoreError::Busy(*hold) } else { shared.location.fault(DOING, error) }
        })?;
        let appended = read_result(batch, &columns, &row, LogPosition::default())?;
        let (committed, warned) = notices::watch(connection.execute("COMMIT")).await;
        committed.map_err(|error| shared.location.after_sending(DOING, error))?;
        if warned {
            return Err(Unconfirmed.into());
        }
        shared.publish(appended.head);
        Ok(appended.outcomes)
    }
}
