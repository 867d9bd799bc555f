//! [`Writer`]: the thread that writes the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::append::{answer, append, begin, panicked, roll_back};
use super::database_file::{self, LOCK_WAIT};
use super::file_connection::{FileConnection, FileIdentities};
use super::file_lock::FairFileLock;
use super::location::FileLocation;
use super::log_end::BoundedClock;
use super::log_writer::{LogWriter, WriterParts};
use super::write_lock::HeldLock;
use crate::events::LogPosition;
use crate::store::log::publish;
use crate::store::sequence_cache::SequenceCache;
use crate::store::write_lock::{Reply, WriteLockHandle};
use crate::store::{Batch, Outcome, StoreError};

enum Request {
    Append { batch: Batch, reply: Reply<Vec<Outcome>> },
    WriteLock { until: Instant, wait: Duration, hold: Duration, reply: Reply<WriteLockHandle> },
    Close { reply: oneshot::Sender<()> },
}

/// The sender of requests to the thread. Dropping it ends the thread.
pub(super) struct Writer(Mutex<mpsc::Sender<Request>>);

impl Writer {
    /// Opens the writer's connection.
    pub(in crate::store) fn connect(location: &FileLocation) -> Result<FileConnection, StoreError> {
        // A large number of pages: one that many commits change is copied to the file once.
        let connection = database_file::writer(location, 8_000)?;
        database_file::synchronous(location, &connection, "FULL")?;
        // The constraints are for programs that write the file directly. The types of an append satisfy them; and to
        // undo a statement whose check calls a function, SQLite would keep a journal for each.
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .map_err(|error| location.fault("opening the store", error))?;
        Ok(connection)
    }

    pub(super) fn start(parts: WriterParts) -> Result<Self, StoreError> {
        let WriterParts { location, connection, file_lock, clock, head } = parts;
        let (send, receive) = mpsc::channel();
        let clock = BoundedClock::new(clock, !location.durable());
        let read_only = database_file::is_read_only(&location, &connection)?;
        let sequences = SequenceCache::default();
        let mut thread = Thread { location, connection, read_only, file_lock, clock, head, sequences };
        let name = thread.location.name().to_owned();
        let work = move || {
            while let Ok(request) = receive.recv() {
                if let Request::Close { reply } = request {
                    drop(thread);
                    // The caller may no longer wait.
                    let _ = reply.send(());
                    return;
                }
                thread.serve(request);
            }
        };
        thread::Builder::new().name("annals-writer".into()).spawn(work).map_err(|error| StoreError::Unusable {
            store: name,
            reason: format!("no thread can be started ({error}): raise this user's limit of processes"),
        })?;
        Ok(Self(Mutex::new(send)))
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        let queue = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.send(request).map_err(|_| StoreError::Closed)
    }
}

#[async_trait]
impl LogWriter for Writer {
    async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Append { batch, reply })?;
        // The thread answers every request that it begins: one without an answer had no effect.
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockHandle, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::WriteLock { until: Instant::now() + wait, wait, hold, reply })?;
        match tokio::time::timeout(wait + Duration::from_millis(100), answer).await {
            Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Busy(wait)),
        }
    }

    async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.send(Request::Close { reply }).is_ok() {
            // An error means that the thread has ended already.
            let _ = done.await;
        }
    }
}

struct Thread {
    location: FileLocation,
    connection: FileConnection,
    read_only: bool,
    file_lock: FairFileLock,
    clock: BoundedClock,
    head: watch::Sender<LogPosition>,
    sequences: SequenceCache,
}

impl Thread {
    fn serve(&mut self, request: Request) {
        match request {
            Request::Append { batch, reply } => {
                let result = self.guarded(|thread| thread.append(&batch));
                // The commit is in the log even if the caller no longer waits.
                let _ = reply.send(result);
            }
            Request::WriteLock { until, wait, hold, reply } => {
                // `write_lock` answers the caller itself; a panic must not end the thread.
                let _ = self.guarded(|thread| {
                    thread.write_lock(until, wait, hold, reply);
                    Ok(())
                });
            }
            Request::Close { .. } => {}
        }
    }

    /// Runs `work`. A panic becomes an error, and its transaction is rolled back.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(|| work(self)))
            .unwrap_or_else(|panic| Err(panicked(&self.connection, &*panic)))
    }

    fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let files = self.connection.files();
        if !batch.commits().iter().any(|commit| commit.keeps_command()) {
            let outcomes = answer(&self.location, &self.connection, batch, &self.clock, self.sequences.head());
            let outcomes = outcomes.inspect_err(|error| self.sequences.after_error(error))?;
            files.check().map_err(|reason| self.location.moved(reason))?;
            return Ok(outcomes);
        }
        if self.read_only {
            return Err(self.location.read_only());
        }
        let _guard = self.file_lock.lock(LOCK_WAIT).map_err(|why| self.location.lock_error(why, LOCK_WAIT))?;
        files.check().map_err(|reason| self.location.moved(reason))?;
        let appended = append(&self.location, &self.connection, batch, &self.clock, &mut self.sequences);
        let (outcomes, head) = appended.inspect_err(|error| self.sequences.after_error(error))?;
        check_files_after_commit(&self.location, files)?;
        publish(&self.head, head);
        Ok(outcomes)
    }

    fn write_lock(&mut self, until: Instant, wait: Duration, hold: Duration, reply: Reply<WriteLockHandle>) {
        if reply.is_closed() {
            return;
        }
        if self.read_only {
            let _ = reply.send(Err(self.location.read_only()));
            return;
        }
        let left = until.saturating_duration_since(Instant::now());
        let guard = match self.file_lock.lock(left) {
            Ok(guard) => guard,
            Err(why) => {
                let _ = reply.send(Err(self.location.lock_error(why, wait)));
                return;
            }
        };
        if let Err(error) = begin(&self.location, &self.connection, "BEGIN IMMEDIATE") {
            let _ = reply.send(Err(error));
            return;
        }
        let (handle, held) = HeldLock::new(hold);
        // If the caller no longer waits, `held` ends at once.
        let _ = reply.send(Ok(handle));
        let head = held.serve(&self.location, &self.connection, &self.clock);
        roll_back(&self.connection);
        drop(guard);
        publish(&self.head, head);
    }
}

/// Checks that a commit is in the log that other processes see. If the file was removed or replaced since the commit
/// began, the outcome is unknown: the file may be put back, or a copy of it may be used, with or without the commit.
pub(super) fn check_files_after_commit(location: &FileLocation, files: &FileIdentities) -> Result<(), StoreError> {
    files.check().map_err(|reason| StoreError::OutcomeUnknown(location.moved(reason).into()))
}
