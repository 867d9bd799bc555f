//! [`Writer`]: appends one batch at a time, on a connection that the pool keeps for appending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::sync::{Mutex, watch};

use super::append::{Appended, CONFIRMED, Calls, append, read_result};
use super::columns::Columns;
use super::connections::{Loan, Purpose};
use super::fault::{ATTEMPTS, WAIT, aborts_only_the_transaction, lost};
use super::liveness::Silent;
use super::location::SchemaLocation;
use super::notices;
use super::watch::AppendNotifier;
use super::write_lock;
use crate::events::LogPosition;
use crate::store::clock::Skew;
use crate::store::log::publish;
use crate::store::sequence_cache::SequenceCache;
use crate::store::write_lock::WriteLockHandle;
use crate::store::{Batch, Clock, Outcome, StoreError};
use crate::text::panic_message;

pub(super) const DOING: &str = "appending";
/// How long the writer waits for an answer before it gives the connection up: longer than the server waits for the lock.
pub(super) const ANSWER: Duration = WAIT.saturating_mul(2);
/// How long the server may take to answer whether it accepts writes.
const READY: Duration = Duration::from_millis(700);

/// A batch that waits for its answer longer than this shows that no command can be executed: the server waits for a standby.
const STUCK: Duration = Duration::from_secs(5);

/// Appends batches, one at a time.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Since when the batch that is being appended waits for its answer.
    waiting: std::sync::Mutex<Option<Instant>>,
    /// Locked while a batch is appended.
    sequences: Mutex<SequenceCache>,
    closed: AtomicBool,
}

/// What the writer and the held write locks use in common.
pub(super) struct Shared {
    pub(super) location: SchemaLocation,
    pub(super) calls: Calls,
    clock: Clock,
    pub(super) skew: Skew,
    head: watch::Sender<LogPosition>,
    notifier: AppendNotifier,
}

/// The server warned while it committed: no standby may have the batch.
#[derive(Debug, thiserror::Error)]
#[error("the server warned while it committed: somebody cancelled its wait for a synchronous standby")]
pub(super) struct Unconfirmed;

impl From<Unconfirmed> for StoreError {
    fn from(unconfirmed: Unconfirmed) -> Self {
        Self::OutcomeUnknown(unconfirmed.into())
    }
}

impl Writer {
    pub(super) fn new(
        location: SchemaLocation,
        clock: Clock,
        head: watch::Sender<LogPosition>,
        notifier: AppendNotifier,
    ) -> Self {
        let calls = Calls::new(&location);
        let shared = Arc::new(Shared { location, calls, clock, skew: Skew::default(), head, notifier });
        Self { shared, waiting: Default::default(), sequences: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Appends a batch after the earlier ones. A panic has the outcome of a lost answer: the caller sends the batch again.
    pub(super) async fn append(&self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let mut sequences = self.sequences.lock().await;
        self.check_open()?;
        *self.lock_waiting() = Some(Instant::now());
        let appending = AssertUnwindSafe(self.append_after(batch, &mut sequences)).catch_unwind().await;
        *self.lock_waiting() = None;
        appending.unwrap_or_else(|panic| {
            sequences.forget(LogPosition::default());
            Err(StoreError::OutcomeUnknown(format!("the writer panicked: {}", panic_message(&*panic)).into()))
        })
    }

    pub(super) async fn write_lock(&self, wait: Duration, hold: Duration) -> Result<WriteLockHandle, StoreError> {
        self.check_open()?;
        write_lock::acquire(self.shared.clone(), wait, hold).await
    }

    /// Checks that a batch could be appended now. Replaces a connection that is dead or leads to a read-only server.
    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        self.check_open()?;
        let location = &self.shared.location;
        if let Some(waited) = self.lock_waiting().map(|since| since.elapsed()).filter(|waited| *waited > STUCK) {
            return Err(location.unusable(format!(
                "a batch has waited for {waited:.0?}: the server waits for a standby (synchronous_standby_names), or another \
                 process holds the lock of the log"
            )));
        }
        let mut error = None;
        for _ in 0..2 {
            let mut lent = location.lend_to_write(Purpose::Append).await?;
            let read_only = "SELECT current_setting('transaction_read_only') = 'on'";
            let asked = tokio::time::timeout(READY, lent.fetch_one(read_only)).await;
            match asked.unwrap_or_else(|_| Err(Silent.into())).and_then(|row| row.try_get(0)) {
                Ok(false) => {
                    lent.give_back();
                    return Ok(());
                }
                Ok(true) => error = Some(location.read_only("the server does not accept writes")),
                Err(other) => error = Some(location.fault(DOING, other)),
            }
            location.doubt(lent.origin());
        }
        Err(error.unwrap_or(StoreError::Closed))
    }

    /// Waits until synchronous standbys have all that was committed before.
    pub(super) async fn confirm(&self) -> Result<(), StoreError> {
        let confirming = async {
            let location = &self.shared.location;
            let sql = format!("SELECT {CONFIRMED}");
            let mut attempt = 1;
            loop {
                let mut lent = location.lend_to_write(Purpose::Append).await?;
                let origin = lent.origin();
                let call = notices::watch(lent.execute(sql.as_str()));
                let answer = location.attend(origin, async { Ok(call.await) }).await;
                match answer.unwrap_or_else(|silent| (Err(silent), false)) {
                    (Ok(_), false) => {
                        lent.give_back();
                        return Ok(());
                    }
                    (Ok(_), true) => {}
                    // Asked again on another connection: asking changes nothing.
                    (Err(error), _) if attempt < ATTEMPTS && lost(&error) => {
                        location.doubt(origin);
                        attempt += 1;
                    }
                    (Err(error), _) => return Err(location.fault(DOING, error)),
                }
            }
        };
        let confirmed = tokio::time::timeout(ANSWER, confirming).await;
        let unknown = |error: StoreError| StoreError::OutcomeUnknown(error.into());
        confirmed.map_err(|elapsed| StoreError::OutcomeUnknown(elapsed.into()))?.map_err(unknown)
    }

    /// Waits for the batch that is being appended, then refuses all others.
    pub(super) async fn close(&self) {
        let _sequences = self.sequences.lock().await;
        self.closed.store(true, Ordering::SeqCst);
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }

    async fn append_after(&self, batch: &Batch, sequences: &mut SequenceCache) -> Result<Vec<Outcome>, StoreError> {
        if batch.commits().is_empty() {
            return Ok(Vec::new());
        }
        let shared = &self.shared;
        let now = shared.now()?;
        let columns = Columns::from_batch(batch, sequences, now);
        let seen = sequences.head();
        // Returned to the pool only if it is intact.
        let mut connection = shared.location.lend_to_write(Purpose::Append).await?;
        let origin = connection.origin();
        let call = notices::watch(call(shared, &mut connection, &columns, now, seen));
        let call = shared.location.attend(origin, async { Ok(call.await) });
        let row = match tokio::time::timeout(ANSWER, call).await {
            Ok(Ok((Ok(_), true))) => return Err(Unconfirmed.into()),
            Ok(Ok((Ok(row), false))) => row,
            Ok(Ok((Err(error), _)) | Err(error)) => {
                give_back_after(&shared.location, connection, &error);
                return Err(shared.location.after_sending(DOING, error));
            }
            Err(elapsed) => return Err(StoreError::OutcomeUnknown(elapsed.into())),
        };
        connection.give_back();
        let answered = read_result(batch, &columns, &row, seen).inspect_err(|error| sequences.after_error(error));
        let Appended { outcomes, base, head, whole } = answered?;
        sequences.record(base, batch, head, whole);
        shared.publish(head);
        Ok(outcomes)
    }
}

/// Calls the append function in one round trip. Behind a pooler, which may use another connection for each statement outside
/// a transaction, it runs in one.
async fn call(
    shared: &Shared,
    connection: &mut PgConnection,
    columns: &Columns<'_>,
    now: jiff::Timestamp,
    seen: LogPosition,
) -> Result<PgRow, sqlx::Error> {
    if !shared.location.pooler() {
        return append(shared, connection, columns, now, seen).await;
    }
    let mut transaction = connection.begin().await?;
    let row = append(shared, &mut transaction, columns, now, seen).await?;
    transaction.commit().await?;
    Ok(row)
}

/// Returns a connection to the pool after an error, if it is intact.
fn give_back_after(location: &SchemaLocation, connection: Loan, error: &sqlx::Error) {
    let database_error = error.as_database_error();
    let code = database_error.and_then(|error| error.code());
    let read_only = code.as_deref() == Some("25006");
    if lost(error) || read_only {
        // The address may now lead to another server, for the other connections too.
        location.doubt(connection.origin());
    }
    // The function was replaced after its call was prepared.
    let replaced = matches!(code.as_deref(), Some("0A000" | "26000"));
    if database_error.is_some_and(aborts_only_the_transaction) && !read_only && !replaced {
        connection.give_back();
    }
}

impl Shared {
    /// Returns the clock's time. A panic of the clock becomes an error, and the writer continues.
    pub(super) fn now(&self) -> Result<jiff::Timestamp, StoreError> {
        catch_unwind(AssertUnwindSafe(|| (self.clock)()))
            .map_err(|panic| StoreError::failed(DOING, format!("the clock panicked: {}", panic_message(&*panic))))
    }

    /// Publishes a new head, here and to other processes.
    pub(super) fn publish(&self, head: Option<LogPosition>) {
        if head.is_none() {
            return;
        }
        publish(&self.head, head);
        self.notifier.notify();
    }
}
