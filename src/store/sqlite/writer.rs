//! The one thread that writes the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::append::{answer, append, begin, roll_back};
use super::database_file::{self, LOCK_WAIT};
use super::fault::told;
use super::file_connection::{FileConnection, FileIdentities};
use super::file_lock::FairFileLock;
use super::location::FileLocation;
use super::log_end::BoundedClock;
use super::write_lock::{WriteLockClient, WriteLockServer};
use crate::events::LogPosition;
use crate::store::sequence_cache::SequenceCache;
use crate::store::{Batch, Clock, Outcome, StoreError};
use crate::text::panic_message;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

enum Request {
    Append { batch: Batch, reply: Answer<Vec<Outcome>> },
    WriteLock { until: Instant, wait: Duration, hold: Duration, reply: Answer<WriteLockClient> },
    Close { reply: oneshot::Sender<()> },
}

/// What the rest of the store has of the writer: its queue. Dropping it ends the thread.
pub(super) struct Writer(Mutex<mpsc::Sender<Request>>);

impl Writer {
    /// The connection that a writer needs.
    pub(super) fn connect(location: &FileLocation) -> Result<FileConnection, StoreError> {
        // Many: a page that many commits change is copied to the file once.
        let connection = database_file::writer(location, 8_000)?;
        database_file::synchronous(location, &connection, "FULL")?;
        // They are for those who write around the application. What is appended here has types that keep them, and to be
        // able to undo a statement in which a check calls a function, SQLite would keep a journal for each.
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .map_err(|error| location.fault("opening the store", error))?;
        Ok(connection)
    }

    pub(super) fn start(
        location: FileLocation,
        connection: FileConnection,
        file_lock: FairFileLock,
        clock: Clock,
        head: watch::Sender<LogPosition>,
    ) -> Result<Self, StoreError> {
        let (send, receive) = mpsc::channel();
        let clock = BoundedClock::new(clock, !location.durable());
        let mut thread =
            Thread { location, connection, file_lock, clock, head, sequences: SequenceCache::default() };
        let name = thread.location.name().to_owned();
        let work = move || {
            while let Ok(request) = receive.recv() {
                if let Request::Close { reply } = request {
                    drop(thread);
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                    return;
                }
                thread.serve(request);
            }
        };
        thread::Builder::new().name("annals-writer".into()).spawn(work).map_err(|error| StoreError::Unusable {
            store: name,
            reason: format!("no thread can be started ({error}): raise the limit of processes"),
        })?;
        Ok(Self(Mutex::new(send)))
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        let queue = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.send(request).map_err(|_| StoreError::Closed)
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Append { batch, reply })?;
        // The thread answers all that it begins: what it does not answer, it did not begin.
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockClient, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::WriteLock { until: Instant::now() + wait, wait, hold, reply })?;
        match tokio::time::timeout(wait + Duration::from_millis(100), answer).await {
            Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Busy(wait)),
        }
    }

    pub(super) async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.send(Request::Close { reply }).is_ok() {
            // An error means that the thread has ended, as it should.
            let _ = done.await;
        }
    }
}

struct Thread {
    location: FileLocation,
    connection: FileConnection,
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
                // The caller may have gone: its commit stands all the same.
                let _ = reply.send(result);
            }
            Request::WriteLock { until, wait, hold, reply } => {
                // Its own answers go through the session; what remains here is that nobody panics out of the thread.
                let _ = self.guarded(|thread| {
                    thread.write_lock(until, wait, hold, reply);
                    Ok(())
                });
            }
            Request::Close { .. } => {}
        }
    }

    /// Runs `work` so that whatever happens in it is answered and leaves no transaction behind.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            let open = !self.connection.is_autocommit();
            roll_back(&self.connection);
            let words = format!("the writer panicked: {}", panic_message(&*panic));
            Err(if open { told("appending", words) } else { StoreError::OutcomeUnknown(words.into()) })
        })
    }

    fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let files = self.connection.files();
        if !batch.commits().iter().any(|commit| commit.keeps_command()) {
            let outcomes = answer(&self.location, &self.connection, batch, &self.clock, self.sequences.head());
            let outcomes = outcomes.inspect_err(|error| forget(&mut self.sequences, error))?;
            files.check().map_err(|reason| self.location.moved(reason))?;
            return Ok(outcomes);
        }
        let _guard = self.file_lock.lock(LOCK_WAIT).map_err(|why| self.location.lock_error(why, LOCK_WAIT))?;
        files.check().map_err(|reason| self.location.moved(reason))?;
        let appended = append(&self.location, &self.connection, batch, &self.clock, &mut self.sequences);
        let (outcomes, head) = appended.inspect_err(|error| forget(&mut self.sequences, error))?;
        check_files_after_commit(&self.location, files)?;
        publish(&self.head, head);
        Ok(outcomes)
    }

    fn write_lock(&mut self, until: Instant, wait: Duration, hold: Duration, reply: Answer<WriteLockClient>) {
        if reply.is_closed() {
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
        let (session, held) = WriteLockServer::new(hold);
        // Nobody there to take it: `held` sees that at once and lets go.
        let _ = reply.send(Ok(session));
        let head = held.serve(&self.location, &self.connection, &self.clock);
        roll_back(&self.connection);
        drop(guard);
        publish(&self.head, head);
    }
}

/// Whether what was just committed is in the log that everybody else sees. If the file was removed or replaced since the
/// commit began, it is not known whether somebody copied it before or after, or puts it back.
pub(super) fn check_files_after_commit(location: &FileLocation, files: &FileIdentities) -> Result<(), StoreError> {
    files.check().map_err(|reason| StoreError::OutcomeUnknown(location.moved(reason).into()))
}

/// What is not there any more is said once; the next batch stands on the log as it is now.
fn forget(sequences: &mut SequenceCache, error: &StoreError) {
    if matches!(error, StoreError::Diverged(_)) {
        sequences.forget(LogPosition::default());
    }
}

/// Lets followers know. Whoever else tells them may have been faster.
fn publish(sender: &watch::Sender<LogPosition>, head: Option<LogPosition>) {
    if let Some(new) = head {
        sender.send_if_modified(|old| {
            let grown = new.position > old.position;
            if grown {
                *old = new;
            }
            grown
        });
    }
}
