//! [`Hub`]: one reader of the log, whose rows all share who follow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::batch::Batch;
use crate::BoxError;
use crate::app::Annals;
use crate::events::LogPosition;
use crate::projections::audit::{AuditError, AuditLog, AuditRow};
use crate::store::{Interest, StoreError};

/// The most rows of a batch, and about how many bytes it may have as JSON.
const ROWS: usize = 256;
const BYTES: usize = 512 * 1024;

/// How many batches are kept for one who is slower; beyond it, one reads for oneself.
const KEPT: usize = 32;

/// How long to wait before the log is read again, if it could not be.
const PAUSE: Duration = Duration::from_millis(200);

/// Reads what is appended to the log, once for all, as long as anybody follows.
pub(super) struct Hub {
    annals: Annals,
    /// None while nobody follows.
    sharing: Mutex<Option<Sharing>>,
}

struct Sharing {
    batches: broadcast::Sender<Arc<Batch>>,
    /// Up to where batches were shared.
    at: LogPosition,
}

/// What somebody gets who follows.
pub(super) struct Subscription {
    pub batches: broadcast::Receiver<Arc<Batch>>,
    /// What comes after this place comes as batches.
    pub at: LogPosition,
}

impl Hub {
    pub(super) fn new(annals: Annals) -> Arc<Self> {
        Arc::new(Self { annals, sharing: Mutex::new(None) })
    }

    pub(super) fn annals(&self) -> &Annals {
        &self.annals
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sharing>> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on.
    pub(super) fn subscribe(self: &Arc<Self>) -> Subscription {
        let mut sharing = self.lock();
        let Sharing { batches, at } = sharing.get_or_insert_with(|| {
            let (batches, _) = broadcast::channel(KEPT);
            let at = *self.annals.store().watch().borrow();
            tokio::spawn(self.clone().run(batches.clone(), at));
            Sharing { batches, at }
        });
        Subscription { batches: batches.subscribe(), at: *at }
    }

    /// Until nobody follows, the application closes, or rows cannot be made: then each reads for himself, and sees why.
    async fn run(self: Arc<Self>, batches: broadcast::Sender<Arc<Batch>>, mut at: LogPosition) {
        let mut grown = self.annals.store().watch();
        let mut most = ROWS / 16;
        let Ok(reading) = self.annals.reading(AuditLog::NAME) else { return self.end() };
        loop {
            grown.borrow_and_update();
            let pause = match self.share(&mut at, &mut most).await {
                Ok(()) => None,
                Err(error) if passes(&error) => {
                    tracing::warn!(%error, "the log could not be read for those who follow; trying again");
                    Some(PAUSE)
                }
                Err(error) => {
                    tracing::debug!(%error, "those who follow have to read for themselves");
                    return self.end();
                }
            };
            tokio::select! {
                () = reading.closed() => return self.end(),
                () = batches.closed() => if self.end_if_alone() { return },
                changed = grown.changed(), if pause.is_none() => if changed.is_err() { return self.end() },
                () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {}
            }
        }
    }

    /// Shares all that is new; learns by it how many rows make a batch.
    async fn share(&self, at: &mut LogPosition, most: &mut usize) -> Result<(), BoxError> {
        let store = self.annals.store();
        loop {
            // With the last one that is known: it has to be there still.
            let overlap = usize::from(at.position > 0);
            let page = store.read(at.position - overlap as u64, *most + overlap, &Interest::All).await?;
            let mut events = page.events.into_iter();
            if overlap > 0 && events.next().is_none_or(|known| known.head() != *at) {
                return Err(StoreError::Diverged(*at).into());
            }
            let types = self.annals.types();
            let rows: Vec<AuditRow> =
                events.map(|stored| AuditRow::new(types, stored)).collect::<Result<_, _>>()?;
            let full = rows.len() == *most;
            let Some(to) = rows.last().map(super::batch::place_of) else { return Ok(()) };
            let batch = Arc::new(Batch::new(std::mem::replace(at, to), to, rows)?);
            *most = batch.rows_in(BYTES).min(ROWS);
            if let Some(sharing) = &mut *self.lock() {
                sharing.at = to;
                // Without a receiver there is nobody to tell.
                let _ = sharing.batches.send(batch);
            }
            if !full {
                return Ok(());
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_none()
    }

    fn end(&self) {
        *self.lock() = None;
    }

    fn end_if_alone(&self) -> bool {
        let mut sharing = self.lock();
        let alone = sharing.as_ref().is_none_or(|sharing| sharing.batches.receiver_count() == 0);
        if alone {
            *sharing = None;
        }
        alone
    }
}

/// Whether it may be otherwise the next time.
fn passes(error: &BoxError) -> bool {
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Closed | StoreError::Diverged(_)) => false,
        Some(_) => true,
        None => error.downcast_ref::<AuditError>().is_none() && error.downcast_ref::<serde_json::Error>().is_none(),
    }
}
