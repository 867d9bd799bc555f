//! The log, locked against all other writers: both ends of the session.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::append::{append_and_commit, roll_back};
use super::file_connection::FileConnection;
use super::location::FileLocation;
use super::log_end::BoundedClock;
use super::reader;
use super::writer::{Answer, check_files_after_commit};
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{Batch, Outcome, StoreError, WriteLock};

enum Request {
    Load { aggregate: Ref, after: u64, reply: Answer<Vec<Stored>> },
    Append { batch: Batch, reply: Answer<Vec<Outcome>> },
}

/// The caller's end. Dropping it lets go of the lock.
pub(super) struct WriteLockClient {
    requests: mpsc::Sender<Request>,
    hold: Duration,
}

/// The writer's end.
pub(super) struct WriteLockServer {
    requests: mpsc::Receiver<Request>,
    until: Instant,
    hold: Duration,
}

impl WriteLockServer {
    pub(super) fn new(hold: Duration) -> (WriteLockClient, Self) {
        let (send, receive) = mpsc::channel();
        (WriteLockClient { requests: send, hold }, Self { requests: receive, until: Instant::now() + hold, hold })
    }

    /// Serves the session in the open transaction until it appends, is dropped or its time is over; answers the
    /// head if it moved.
    pub(super) fn serve(
        self,
        location: &FileLocation,
        connection: &FileConnection,
        clock: &BoundedClock,
    ) -> Option<LogPosition> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            let Ok(request) = self.requests.recv_timeout(left) else {
                self.turn_away();
                return None;
            };
            match request {
                Request::Load { aggregate, after, reply } => {
                    let checked = connection.files().check().map_err(|reason| location.moved(reason));
                    let load = |()| reader::load(location, connection, &aggregate, after, i64::MAX);
                    let _ = reply.send(checked.and_then(load));
                }
                Request::Append { batch, reply } => {
                    let checked = connection.files().check().map_err(|reason| location.moved(reason));
                    let result = checked.and_then(|()| {
                        let appended = append_and_commit(location, connection, &batch, clock)?;
                        check_files_after_commit(location, connection.files())?;
                        Ok(appended)
                    });
                    roll_back(connection);
                    let (result, head) = match result {
                        Ok((outcomes, head)) => (Ok(outcomes), head),
                        Err(error) => (Err(error), None),
                    };
                    let _ = reply.send(result);
                    return head;
                }
            }
        }
    }

    /// Answers what came too late: it was not begun.
    fn turn_away(&self) {
        for request in self.requests.try_iter() {
            match request {
                Request::Load { reply, .. } => drop(reply.send(Err(StoreError::Busy(self.hold)))),
                Request::Append { reply, .. } => drop(reply.send(Err(StoreError::Busy(self.hold)))),
            }
        }
    }
}

impl WriteLockClient {
    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| StoreError::Busy(self.hold))?;
        // The writer answers everything, unless it panicked: perhaps in mid-append.
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
