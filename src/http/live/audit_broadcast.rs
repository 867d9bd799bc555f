//! [`AuditBroadcast`]: one reader task of the log for all subscribers of the audit log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::row_batch::{RowBatch, position_of};
use crate::BoxError;
use crate::app::Annals;
use crate::events::LogPosition;
use crate::projections::Reading;
use crate::projections::audit::{AuditError, AuditLog, AuditRow};
use crate::store::{StoreError, is_full, read_page};
use crate::supervise::supervise;

/// The most rows of a batch, and its approximate size as JSON.
const MAX_ROWS: usize = 256;
const MAX_BYTES: usize = 512 * 1024;

/// How many batches are kept for slow subscribers. A subscriber that lags further reads from the store.
const CAPACITY: usize = 32;

/// The delay before the log is read again after an error.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// After this many panics of the reader task in a row, subscribers read from the store.
const MAX_PANICS: u32 = 3;

type Batches = broadcast::Sender<Arc<RowBatch>>;

/// Reads new events once for all subscribers, while there are any.
pub(super) struct AuditBroadcast {
    annals: Annals,
    /// None without subscribers.
    channel: Mutex<Option<Channel>>,
}

struct Channel {
    batches: Batches,
    /// The end of the last batch.
    sent: LogPosition,
}

/// The receiving end of the broadcast.
pub(super) struct BatchReceiver {
    pub batches: broadcast::Receiver<Arc<RowBatch>>,
    /// Batches come for the events after this position.
    pub start: LogPosition,
}

impl AuditBroadcast {
    pub(super) fn new(annals: Annals) -> Arc<Self> {
        Arc::new(Self { annals, channel: Mutex::new(None) })
    }

    pub(super) fn annals(&self) -> &Annals {
        &self.annals
    }

    fn lock(&self) -> MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to the events from now on. The first subscriber starts the reader task.
    pub(super) fn subscribe(self: &Arc<Self>) -> BatchReceiver {
        let mut channel = self.lock();
        let Channel { batches, sent } = channel.get_or_insert_with(|| {
            let (batches, _) = broadcast::channel(CAPACITY);
            let sent = *self.annals.store().watch().borrow();
            tokio::spawn(self.clone().run(batches.clone()));
            Channel { batches, sent }
        });
        BatchReceiver { batches: batches.subscribe(), start: *sent }
    }

    /// Runs the reader task, and starts it again after a panic: it continues after the last batch. After some panics in a
    /// row the channel ends, and each subscriber reads from the store and meets the failure itself.
    async fn run(self: Arc<Self>, batches: Batches) {
        if let Ok(reading) = self.annals.reading(AuditLog::NAME) {
            let on_panic = |panics, _: &str| {
                if panics >= MAX_PANICS {
                    self.end(&batches)
                }
            };
            let ended = || async {
                if self.with_channel(&batches, |_| ()).is_some() {
                    reading.closed().await;
                }
            };
            let read = || self.read_until_ended(&reading, &batches);
            supervise("shared reader of live streams", read, ended, on_panic).await;
        }
        self.end(&batches);
    }

    /// The reader task. It ends without subscribers, when the application is closed, or when rows cannot be made. In the
    /// last case each subscriber reads from the store and meets the error itself.
    async fn read_until_ended(&self, reading: &Reading, batches: &Batches) {
        let Some(mut sent) = self.with_channel(batches, |channel| channel.sent) else { return };
        let mut head = self.annals.store().watch();
        let mut max_rows = MAX_ROWS / 16;
        loop {
            head.borrow_and_update();
            let delay = match self.send_new(batches, &mut sent, &mut max_rows).await {
                Ok(()) => None,
                Err(error) if is_temporary(&error) => {
                    tracing::warn!(%error, "cannot read the log for live streams; trying again");
                    Some(RETRY_DELAY)
                }
                Err(error) => {
                    tracing::debug!(%error, "the shared reader of live streams ends");
                    return;
                }
            };
            tokio::select! {
                () = reading.closed() => return,
                () = batches.closed() => if self.end_if_unused(batches) { return },
                changed = head.changed(), if delay.is_none() => if changed.is_err() { return },
                () = tokio::time::sleep(delay.unwrap_or(Duration::MAX)), if delay.is_some() => {}
            }
        }
    }

    /// Sends all new events in batches, and adapts the number of rows of a batch to their size.
    async fn send_new(
        &self,
        batches: &Batches,
        sent: &mut LogPosition,
        max_rows: &mut usize,
    ) -> Result<(), BoxError> {
        let store = self.annals.store();
        loop {
            // The last known event is read again, to detect that the log was restored to an older state.
            let overlap = usize::from(sent.position > 0);
            let mut page = read_page(&**store, sent.position - overlap as u64, *max_rows + overlap).await?;
            if overlap > 0 && page.events.first().is_none_or(|known| known.head() != *sent) {
                return Err(StoreError::Diverged(*sent).into());
            }
            if page.events.len() == overlap && is_full(&page.events) {
                // The known event left no room for others.
                page = read_page(&**store, sent.position, *max_rows).await?;
            } else {
                page.events.drain(..overlap);
            }
            let full = page.events.len() == *max_rows || is_full(&page.events);
            let types = self.annals.types();
            types.load_keys(&page.events).await;
            let made = || page.events.into_iter().map(|stored| AuditRow::new(types, stored));
            let rows: Vec<AuditRow> = types.opened(|| made().collect::<Result<_, _>>())?;
            let Some(to) = rows.last().map(position_of) else { return Ok(()) };
            let batch = Arc::new(RowBatch::new(std::mem::replace(sent, to), to, rows)?);
            *max_rows = batch.rows_in(MAX_BYTES).min(MAX_ROWS);
            self.with_channel(batches, |channel| {
                channel.sent = to;
                // An error means that there is no subscriber.
                let _ = channel.batches.send(batch);
            });
            if !full {
                return Ok(());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_none()
    }

    /// Calls `with` with the channel, unless it has ended.
    fn with_channel<T>(&self, batches: &Batches, with: impl FnOnce(&mut Channel) -> T) -> Option<T> {
        self.lock().as_mut().filter(|channel| channel.batches.same_channel(batches)).map(with)
    }

    fn end(&self, batches: &Batches) {
        self.lock().take_if(|channel| channel.batches.same_channel(batches));
    }

    /// Ends the channel if it has no subscriber, and returns whether it has ended.
    fn end_if_unused(&self, batches: &Batches) -> bool {
        let mut channel = self.lock();
        channel.take_if(|channel| channel.batches.same_channel(batches) && batches.receiver_count() == 0);
        channel.as_ref().is_none_or(|channel| !channel.batches.same_channel(batches))
    }
}

/// Whether the next attempt may succeed.
fn is_temporary(error: &BoxError) -> bool {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Closed | StoreError::Diverged(_)) => false,
        Some(_) => true,
        None => error.downcast_ref::<AuditError>().is_none() && error.downcast_ref::<serde_json::Error>().is_none(),
    }
}
