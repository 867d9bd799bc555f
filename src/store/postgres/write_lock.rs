//! The log, locked against all other writers: both ends of the session.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Executor;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::append::{answer, append};
use super::columns::Columns;
use super::connections::{Loan, Purpose};
use super::place::Place;
use super::reader;
use super::writer::{ANSWER, DOING, Shared};
use crate::events::{LogPosition, Ref, Stored};
use crate::store::sequence_cache::SequenceCache;
use crate::store::{Batch, Outcome, StoreError, WriteLock};

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Load { aggregate: Ref, after: u64, reply: Answer<Vec<Stored>> },
    Append { batch: Batch, reply: Answer<Vec<Outcome>> },
}

/// The caller's end. Dropping it lets go of the lock.
pub(super) struct WriteLockClient {
    requests: mpsc::Sender<Request>,
    hold: Duration,
}

impl WriteLockClient {
    /// Waits for the lock and starts the other end.
    pub(super) async fn open(shared: Arc<Shared>, wait: Duration, hold: Duration) -> Result<Self, StoreError> {
        // The server gives up the wait by itself; this is for one that does not answer.
        let locked = tokio::time::timeout(wait + Duration::from_secs(1), lock(&shared.place, wait, hold));
        let connection = locked.await.unwrap_or(Err(StoreError::Busy(wait)))?;
        let (requests, receive) = mpsc::channel(1);
        let held = WriteLockServer { shared, connection, requests: receive, hold, until: Instant::now() + hold };
        tokio::spawn(held.serve());
        Ok(Self { requests, hold })
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| StoreError::Busy(self.hold))?;
        // The other end answers everything, unless it panicked or its runtime was shut down: perhaps in mid-append.
        answer.await.unwrap_or_else(|gone| Err(StoreError::OutcomeUnknown(gone.into())))
    }
}

#[async_trait]
impl WriteLock for WriteLockClient {
    async fn load(&mut self, aggregate: &Ref, after: u64) -> Result<Vec<Stored>, StoreError> {
        let aggregate = aggregate.clone();
        self.ask(|reply| Request::Load { aggregate, after, reply }).await
    }

    async fn append(self: Box<Self>, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        self.ask(|reply| Request::Append { batch, reply }).await
    }
}

/// A connection in a transaction that has the lock. Should this process stand still, the server ends it.
async fn lock(place: &Place, wait: Duration, hold: Duration) -> Result<Loan, StoreError> {
    let mut connection = place.lend_to_write(Purpose::WriteLock).await?;
    let sql = place.sql(&format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {}; SELECT FROM {{schema}}.hold(); \
         SET LOCAL idle_in_transaction_session_timeout = {}",
        milliseconds(wait),
        milliseconds(hold)
    ));
    let locked = connection.execute(sql.as_str()).await;
    locked.map_err(|error| match place.fault("waiting for the lock", error) {
        StoreError::Busy(_) => StoreError::Busy(wait),
        other => other,
    })?;
    Ok(connection)
}

/// For a setting of which 0 means that there is no limit.
fn milliseconds(time: Duration) -> u128 {
    time.as_millis().clamp(1, i32::MAX as u128)
}

/// The writer's end. Dropping the connection ends the transaction without effect.
struct WriteLockServer {
    shared: Arc<Shared>,
    connection: Loan,
    requests: mpsc::Receiver<Request>,
    hold: Duration,
    until: Instant,
}

impl WriteLockServer {
    /// Serves the session until it appends, is dropped or its time is over.
    async fn serve(mut self) {
        let committed = self.serve_in_time().await;
        // What came too late was not begun.
        self.requests.close();
        while let Some(request) = self.requests.recv().await {
            match request {
                Request::Load { reply, .. } => drop(reply.send(Err(StoreError::Busy(self.hold)))),
                Request::Append { reply, .. } => drop(reply.send(Err(StoreError::Busy(self.hold)))),
            }
        }
        if committed {
            self.connection.give_back();
        }
    }

    /// Whether it ended with a commit.
    async fn serve_in_time(&mut self) -> bool {
        while let Ok(Some(request)) = tokio::time::timeout_at(self.until, self.requests.recv()).await {
            match request {
                Request::Load { aggregate, after, reply } => {
                    let loading =
                        reader::load_on(&self.shared.place, &mut self.connection, &aggregate, after, usize::MAX);
                    let loaded = tokio::time::timeout_at(self.until, loading).await;
                    let over = loaded.is_err();
                    let _ = reply.send(loaded.unwrap_or(Err(StoreError::Busy(self.hold))));
                    if over {
                        return false;
                    }
                }
                Request::Append { batch, reply } => {
                    let appended = tokio::time::timeout(ANSWER, self.append(&batch)).await;
                    let appended =
                        appended.unwrap_or_else(|elapsed| Err(StoreError::OutcomeUnknown(elapsed.into())));
                    let committed = appended.is_ok();
                    // The caller may have gone: its commit stands all the same.
                    let _ = reply.send(appended);
                    return committed;
                }
            }
        }
        false
    }

    /// Appends and commits. Until the commit is sent, nothing can have been written.
    async fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let Self { shared, connection, hold, until, .. } = self;
        let now = shared.now()?;
        let columns = Columns::of(batch, &SequenceCache::default(), now);
        let row = append(shared, connection, &columns, now, LogPosition::default()).await.map_err(|error| {
            let over = Instant::now() >= *until;
            if over { StoreError::Busy(*hold) } else { shared.place.fault(DOING, error) }
        })?;
        let appended = answer(batch, &columns, &row, LogPosition::default())?;
        let committed = connection.execute("COMMIT").await;
        committed.map_err(|error| shared.place.after_sending(DOING, error))?;
        shared.publish(appended.head);
        Ok(appended.outcomes)
    }
}
