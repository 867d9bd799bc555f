//! The one task that writes the log, a batch at a time, on a connection that the pool keeps for appending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::append::{Appended, answer, append};
use super::columns::Columns;
use super::connections::{Loan, Purpose};
use super::fault::{WAIT, aborts_only_the_transaction, lost, told};
use super::place::Place;
use super::silence::Silent;
use super::watch::News;
use super::write_lock::WriteLockClient;
use crate::events::LogPosition;
use crate::store::clock::Skew;
use crate::store::sequence_cache::SequenceCache;
use crate::store::{Batch, Clock, Outcome, StoreError};
use crate::text::panic_message;

pub(super) const DOING: &str = "appending";
/// How long an answer is waited for: longer than the server waits for the lock. Then the connection is given up.
pub(super) const ANSWER: Duration = WAIT.saturating_mul(2);
/// How long the server may take to say that it takes writes.
const READY: Duration = Duration::from_millis(700);

enum Request {
    Append { batch: Batch, reply: oneshot::Sender<Result<Vec<Outcome>, StoreError>> },
    Close,
}

/// What the rest of the store has of the writer: its queue. Dropping it ends the task.
pub(super) struct Writer {
    requests: mpsc::UnboundedSender<Request>,
    task: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

/// What the writer and the exclusive sessions have in common.
pub(super) struct Shared {
    pub(super) place: Place,
    /// The call of the append function.
    pub(super) call: String,
    clock: Clock,
    pub(super) skew: Skew,
    head: watch::Sender<LogPosition>,
    news: News,
}

impl Writer {
    pub(super) fn start(place: Place, clock: Clock, head: watch::Sender<LogPosition>, news: News) -> Self {
        let call = super::append::call(&place);
        let shared = Arc::new(Shared { place, call, clock, skew: Skew::default(), head, news });
        let (requests, mut receive) = mpsc::unbounded_channel();
        let mut task = Task { shared: shared.clone(), sequences: SequenceCache::default() };
        let work = async move {
            while let Some(Request::Append { batch, reply }) = receive.recv().await {
                // The caller may have gone: its commit stands all the same.
                let _ = reply.send(task.guarded(&batch).await);
            }
            receive.close();
            while let Some(Request::Append { reply, .. }) = receive.recv().await {
                let _ = reply.send(Err(StoreError::Closed));
            }
        };
        Self { requests, task: Mutex::new(Some(tokio::spawn(work))), shared }
    }

    pub(super) async fn append(&self, batch: Batch) -> Result<Vec<Outcome>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Append { batch, reply }).map_err(|_| StoreError::Closed)?;
        // The task answers everything, unless its runtime is shut down: perhaps in the middle of this batch.
        answer.await.unwrap_or_else(|gone| Err(StoreError::OutcomeUnknown(gone.into())))
    }

    pub(super) async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockClient, StoreError> {
        if self.requests.is_closed() {
            return Err(StoreError::Closed);
        }
        WriteLockClient::open(self.shared.clone(), wait, hold).await
    }

    /// Whether a batch could be appended now. A connection that leads elsewhere, or nowhere, is replaced.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        if self.requests.is_closed() {
            return Err(StoreError::Closed);
        }
        let place = &self.shared.place;
        let mut error = None;
        for _ in 0..2 {
            let mut lent = place.lend_to_write(Purpose::Append).await?;
            let read_only = "SELECT current_setting('transaction_read_only') = 'on'";
            let asked = tokio::time::timeout(READY, lent.fetch_one(read_only)).await;
            match asked.unwrap_or_else(|_| Err(Silent.into())).and_then(|row| row.try_get(0)) {
                Ok(false) => {
                    lent.give_back();
                    return Ok(());
                }
                Ok(true) => error = Some(place.read_only("the server takes no writes")),
                Err(other) => error = Some(place.fault(DOING, other)),
            }
            place.doubt(lent.origin());
        }
        Err(error.unwrap_or(StoreError::Closed))
    }

    /// Finishes what was asked for before.
    pub(super) async fn close(&self) {
        // An error means that it has ended, as it should.
        let _ = self.requests.send(Request::Close);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = match task {
            Some(task) => Some(task.await),
            None => None,
        } {
            tracing::error!(%error, "the writer did not end well");
        }
    }
}

struct Task {
    shared: Arc<Shared>,
    sequences: SequenceCache,
}

impl Task {
    /// A panic is answered as a lost answer, and the task goes on: without it, nothing would ever be appended again.
    async fn guarded(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        AssertUnwindSafe(self.append(batch)).catch_unwind().await.unwrap_or_else(|panic| {
            self.sequences.forget(LogPosition::default());
            Err(StoreError::OutcomeUnknown(format!("the writer panicked: {}", panic_message(&*panic)).into()))
        })
    }

    async fn append(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        if batch.commits().is_empty() {
            return Ok(Vec::new());
        }
        let shared = self.shared.clone();
        let now = shared.now()?;
        let columns = Columns::of(batch, &self.sequences, now);
        let seen = self.sequences.head();
        // Given back only where nothing is wrong with it.
        let mut connection = shared.place.lend_to_write(Purpose::Append).await?;
        let origin = connection.origin();
        let call = shared.place.attend(origin, call(&shared, &mut connection, &columns, now, seen));
        let row = match tokio::time::timeout(ANSWER, call).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => {
                give_back_after(&shared.place, connection, &error);
                return Err(shared.place.after_sending(DOING, error));
            }
            Err(elapsed) => return Err(StoreError::OutcomeUnknown(elapsed.into())),
        };
        connection.give_back();
        match answer(batch, &columns, &row, seen) {
            Ok(Appended { outcomes, base, head, whole }) => {
                match head {
                    Some(head) if whole => self.sequences.append(base, batch, head),
                    Some(head) => self.sequences.forget(head),
                    None => {}
                }
                shared.publish(head);
                Ok(outcomes)
            }
            Err(error) => {
                if matches!(error, StoreError::Diverged(_)) {
                    // Said once; the next batch stands on the log as it is now.
                    self.sequences.forget(LogPosition::default());
                }
                Err(error)
            }
        }
    }
}

/// One round trip; behind a pooler, which may lend another connection to each statement outside of a transaction,
/// a transaction around it.
async fn call(
    shared: &Shared,
    connection: &mut PgConnection,
    columns: &Columns<'_>,
    now: jiff::Timestamp,
    seen: LogPosition,
) -> Result<PgRow, sqlx::Error> {
    if !shared.place.pooler() {
        return append(shared, connection, columns, now, seen).await;
    }
    let mut transaction = connection.begin().await?;
    let row = append(shared, &mut transaction, columns, now, seen).await?;
    transaction.commit().await?;
    Ok(row)
}

/// Keeps a connection on which an error was told, if it is as good as before.
fn give_back_after(place: &Place, connection: Loan, error: &sqlx::Error) {
    let told = error.as_database_error();
    let code = told.and_then(|told| told.code());
    let read_only = code.as_deref() == Some("25006");
    if lost(error) || read_only {
        // The address may lead to another server by now: none of the others is believed.
        place.doubt(connection.origin());
    }
    // A function that was replaced under its prepared call.
    let replaced = matches!(code.as_deref(), Some("0A000" | "26000"));
    if told.is_some_and(aborts_only_the_transaction) && !read_only && !replaced {
        connection.give_back();
    }
}

impl Shared {
    /// The clock's time. Whatever the clock does, the writer answers and goes on.
    pub(super) fn now(&self) -> Result<jiff::Timestamp, StoreError> {
        catch_unwind(AssertUnwindSafe(|| (self.clock)()))
            .map_err(|panic| told(DOING, format!("the clock panicked: {}", panic_message(&*panic))))
    }

    /// Lets followers know, here and in other processes. Whoever else tells them may have been faster.
    pub(super) fn publish(&self, head: Option<LogPosition>) {
        let Some(new) = head else { return };
        self.head.send_if_modified(|old| {
            let grown = new.position > old.position;
            if grown {
                *old = new;
            }
            grown
        });
        self.news.spread();
    }
}
