//! [`event_at`] and [`named_event`]: the event that a caller names by its position, as a receipt or a cursor does.
//!
//! In a log without gaps, an event after the head does not exist. A copy of the log ([`LogInfo::is_copy`](super::LogInfo::is_copy))
//! may be behind: another process has the event already, and has named it to the caller.

use std::time::Duration;

use super::{Store, StoreError};
use crate::events::{LogPosition, Stored};

/// How long a copy may lack what another process has answered. After that, the event is of another log, if the store is ready.
const LAG: Duration = Duration::from_secs(10);

/// Returns this event; `None` if the log does not hold it.
pub(crate) async fn named_event(log: &dyn Store, at: LogPosition) -> Result<Option<Stored>, StoreError> {
    Ok(event_at(log, at.position).await?.filter(|stored| stored.head() == at))
}

/// Returns the event at this position; `None` if there is none.
pub(crate) async fn event_at(log: &dyn Store, position: u64) -> Result<Option<Stored>, StoreError> {
    let found = log.read_at(&[position]).await?.pop();
    if found.is_some() || position == 0 || !log.info().await?.is_copy {
        return Ok(found);
    }
    let mut head = log.watch();
    // Late or closed: the log is read once more in any case.
    let _ = tokio::time::timeout(LAG, head.wait_for(|head| head.position >= position)).await;
    let found = log.read_at(&[position]).await?.pop();
    if found.is_none() {
        // A copy whose servers do not answer says nothing about the log.
        log.ready().await?;
    }
    Ok(found)
}
