//! [`ProgressWaiter`]: waiting for a projection to take in more.

use tokio::sync::watch;

use super::{ReadError, Reading};
use crate::events::LogPosition;

/// What a live reader of a projection waits on.
pub(crate) struct ProgressWaiter {
    /// Where the log is, whoever wrote.
    log: watch::Receiver<LogPosition>,
    /// Where the projection is.
    progress: watch::Receiver<LogPosition>,
}

impl ProgressWaiter {
    pub(crate) fn new(reading: &Reading) -> Self {
        Self { log: reading.log().watch(), progress: reading.progress() }
    }

    /// To be called before the projection is read: what moves after this, [`beyond`](Self::beyond) tells.
    pub(crate) fn note(&mut self) {
        self.log.borrow_and_update();
        self.progress.borrow_and_update();
    }

    /// Waits until the projection may be beyond `seen`; false when the application closes. A projection that stands
    /// still for good is an error.
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
