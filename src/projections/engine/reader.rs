//! One task that reads new events at the log's head and shares each page with all projections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;
use uuid::Uuid;

use super::handle::EngineContext;
use super::page_size::PageSize;
use crate::events::LogPosition;
use crate::store::{Interest, Page, StoreError};
use crate::supervise::delay;

/// How many shared pages are buffered for a slow projection. A projection that falls further behind reads the log
/// itself.
pub(super) const SHARED_PAGES: usize = 32;

/// The most events of a shared page, and about its most bytes: a process holds the last pages for as long as one of its
/// projections has stopped, or runs in another process.
const SHARED_EVENTS: usize = 1_000;
const SHARED_BYTES: usize = 1 << 20;

/// A position that no log holds: the reader then starts at the head.
const LOST: LogPosition = LogPosition { position: 1, event_id: Uuid::nil() };

/// The shortest interval between two pages while the log grows steadily: each page costs every projection a
/// transaction. The first page after a pause, and a page that a caller waits for, is shared at once.
const PACE: Duration = Duration::from_millis(10);

/// A message from the reader to the projections.
#[derive(Clone)]
pub(super) enum SharedPage {
    /// The wanted events after `from`, up to the page's own end.
    Page { from: LogPosition, page: Arc<Page> },
    /// The log was replaced or pages were lost: the projection must read the log itself.
    Gap,
}

/// The union of the event types that several projections want.
pub(super) fn union<'a>(interests: impl Iterator<Item = &'a Interest>) -> Interest {
    let mut types = std::collections::BTreeSet::new();
    for interest in interests {
        match interest {
            Interest::All => return Interest::All,
            Interest::EventTypes(names) => types.extend(names.iter().cloned()),
        }
    }
    Interest::EventTypes(types.into_iter().collect())
}

/// Follows the log from `start` until the application closes. `None`, after a panic, means the head: the projections
/// read what they missed themselves.
pub(super) async fn follow(
    context: Arc<EngineContext>,
    interest: Interest,
    start: Option<LogPosition>,
    pages: broadcast::Sender<SharedPage>,
) {
    let mut grown = context.store.watch();
    let mut failures = 0;
    let mut at = start.unwrap_or(LOST);
    let mut size = PageSize::new(SHARED_EVENTS, SHARED_BYTES);
    loop {
        grown.borrow_and_update();
        let pause = match share(&context, &interest, &mut at, &mut size, &pages).await {
            Ok(()) => {
                failures = 0;
                None
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "the log could not be read: trying again");
                Some(delay(failures))
            }
        };
        let next = Instant::now() + PACE;
        tokio::select! {
            () = context.closed() => return,
            changed = grown.changed(), if pause.is_none() => if changed.is_err() { return },
            () = tokio::time::sleep(pause.unwrap_or(Duration::MAX)), if pause.is_some() => {}
        }
        tokio::select! {
            () = context.closed() => return,
            () = context.awaited.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// Shares all new pages.
async fn share(
    context: &EngineContext,
    interest: &Interest,
    at: &mut LogPosition,
    size: &mut PageSize,
    pages: &broadcast::Sender<SharedPage>,
) -> Result<(), StoreError> {
    loop {
        let limit = size.limit();
        let page = size.read(&*context.store, at.position, interest).await?;
        // Checked after the page was read: a page that follows another history of the log is not shared.
        if !context.holds(*at).await? {
            *at = context.store.head().await?;
            let _ = pages.send(SharedPage::Gap);
            return Ok(());
        }
        if page.to.position <= at.position {
            return Ok(());
        }
        let full = size.is_full(limit, &page.events);
        size.adapt(&page.events);
        let from = std::mem::replace(at, page.to);
        // An error means that no projection is subscribed.
        let _ = pages.send(SharedPage::Page { from, page: Arc::new(page) });
        if !full {
            return Ok(());
        }
    }
}
