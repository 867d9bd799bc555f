//! One pass over the log for all rebuilds that start together.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::events::LogPosition;
use crate::projections::engine::handle::EngineContext;
use crate::projections::engine::page_size::PageSize;
use crate::store::{Interest, Page, StoreError};

/// The most events and bytes of a page if all rebuilds fold in memory: small enough for a processor's cache.
const LIGHT: (usize, usize) = (4_000, 2 << 20);

/// The same if a page is a transaction: fewer transactions, each document written less often.
const HEAVY: (usize, usize) = (100_000, 16 << 20);

/// A message of the pass to a rebuild.
pub(super) enum Passed {
    /// A page; `alone` says that it holds only events that this rebuild wants.
    Page { page: Arc<Page>, alone: bool },
    /// The log no longer holds this event.
    Diverged(LogPosition),
}

/// A rebuild that is ready to receive the log after `from`.
pub(super) struct Ready {
    pub from: LogPosition,
    pub pages: mpsc::Sender<Passed>,
}

/// The page size; `light` if all rebuilds fold in memory.
pub(super) fn page_size(light: bool) -> PageSize {
    let (events, bytes) = if light { LIGHT } else { HEAVY };
    PageSize::new(events, bytes)
}

/// How many pages are buffered for a rebuild: the next page is read while one is applied.
pub(super) fn pages_ahead(light: bool) -> usize {
    if light { 3 } else { 1 }
}

/// How many pages are read concurrently when their start is known in advance.
const AT_ONCE: usize = 2;

/// Reads the log once, from the lowest start of all rebuilds, and sends each page to all. Ends at a page that is
/// not full, or when all rebuilds have ended. After an error of the store each rebuild reads the log itself and
/// meets the error.
pub(super) async fn pass(
    context: Arc<EngineContext>,
    interest: Interest,
    joining: Vec<oneshot::Receiver<Ready>>,
    size: PageSize,
) {
    let asked = joining.len();
    let mut ready: Vec<Ready> = Vec::with_capacity(asked);
    for join in joining {
        // A rebuild that failed to start does not join.
        ready.extend(join.await.ok());
    }
    let Some(from) = ready.iter().map(|ready| ready.from).min_by_key(|from| from.position) else { return };
    let alone = asked == 1;
    let mut listening: Vec<mpsc::Sender<Passed>> = ready.into_iter().map(|ready| ready.pages).collect();
    let mut pages = Pages { context, interest, size, at: from, dense: false, ahead: VecDeque::new() };
    while !listening.is_empty() {
        let (page, full) = match pages.next().await {
            Ok(Some((page, full))) => (Arc::new(page), full),
            Ok(None) => {
                for listener in &listening {
                    // An error means that the rebuild has ended for another reason.
                    let _ = listener.send(Passed::Diverged(pages.at)).await;
                }
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "a pass over the log ends early");
                return;
            }
        };
        let mut still = Vec::with_capacity(listening.len());
        for listener in listening {
            if listener.send(Passed::Page { page: page.clone(), alone }).await.is_ok() {
                still.push(listener);
            }
        }
        listening = still;
        if !full {
            return;
        }
    }
}

/// Reads the log page by page, and the next page ahead: positions have no gap, so the end of a page of which every
/// event is wanted is known in advance.
struct Pages {
    context: Arc<EngineContext>,
    interest: Interest,
    size: PageSize,
    at: LogPosition,
    /// Whether the last page ended where the next one was assumed to start.
    dense: bool,
    /// Pages being read, in order; the first starts at `at`.
    ahead: VecDeque<Ahead>,
}

/// A page that is being read.
struct Ahead {
    limit: usize,
    /// The end of the page if every event is wanted. It ends earlier if its events are large, or if the log does.
    end: u64,
    read: JoinHandle<Result<Page, StoreError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.read.abort();
    }
}

impl Pages {
    /// The next page and whether more may follow; `None` if the log no longer holds the event before it.
    async fn next(&mut self) -> Result<Option<(Page, bool)>, StoreError> {
        let at_once = if self.dense { AT_ONCE } else { 1 };
        while self.ahead.len() < at_once {
            let after = self.ahead.back().map_or(self.at.position, |last| last.end);
            let (context, interest, size) = (self.context.clone(), self.interest.clone(), self.size.clone());
            let limit = size.limit();
            let read = tokio::spawn(async move { size.read(&*context.store, after, &interest).await });
            self.ahead.push_back(Ahead { limit, end: after.saturating_add(limit as u64), read });
        }
        let Some(mut first) = self.ahead.pop_front() else { return Ok(None) };
        let page = (&mut first.read).await.unwrap_or(Err(StoreError::Closed))?;
        // Checked after the page was read, so that the page follows the event at `at`.
        if !self.context.holds(self.at).await? {
            return Ok(None);
        }
        let full = self.size.is_full(first.limit, &page.events);
        self.dense = full && page.to.position == first.end;
        if !self.dense {
            self.ahead.clear();
        }
        self.size.adapt(&page.events);
        self.at = page.to;
        Ok(Some((page, full)))
    }
}

/// A page after this event; `None` if the log no longer holds the event.
pub(super) async fn read(
    context: &EngineContext,
    after: LogPosition,
    size: &PageSize,
    interest: &Interest,
) -> Result<Option<Page>, StoreError> {
    let page = size.read(&*context.store, after.position, interest).await?;
    // Checked after the page was read, so that the page follows the event at `after`.
    Ok(context.holds(after).await?.then_some(page))
}
