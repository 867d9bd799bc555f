//! [`ProgressWaiter`]: waits for a projection to process more events.

use tokio::sync::watch;

use super::read_error::ReadError;
use super::reading::Reading;
use crate::events::LogPosition;

/// Lets a live reader wait for a projection.
pub(crate) struct ProgressWaiter {
    /// The log's head, whichever process moves it.
    log: watch::Receiver<LogPosition>,
    /// The projection's checkpoint.
    progress: watch::Receiver<LogPosition>,
}

impl ProgressWaiter {
    pub(crate) fn new(reading: &Reading) -> Self {
        Self { log: reading.log().watch(), progress: reading.progress() }
    }

    /// Marks the current position as seen. Call it before the projection is read: [`beyond`](Self::beyond) returns
    /// for any later change.
    pub(crate) fn note(&mut self) {
        self.log.borrow_and_update();
        self.progress.borrow_and_update();
    }

    /// Waits until the projection may be beyond `seen`; returns false when the application closes. A stopped
    /// projection is an error.
    pub(crate) async fn beyond(&mut self, reading: &Reading, seen: LogPosition) -> Result<bool, ReadError> {
        let log = *self.log.borrow_and_update();
        let behind = log.position > seen.position;
        tokio::select! {
            biased;
            () = reading.closed() => Ok(false),
            moved = self.progress.changed() => Ok(moved.is_ok()),
            reached = reading.caught_up(log, None), if behind => reached.map(|()| true),
            moved = self.log.changed(), if !behind => Ok(moved.is_ok()),
        }
    }
}
