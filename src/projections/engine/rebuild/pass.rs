//! One pass over the log for all rebuilds that begin together.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::events::LogPosition;
use crate::projections::engine::handle::EngineContext;
use crate::projections::engine::reader::PageSize;
use crate::store::{Interest, Page, StoreError};

/// The most events and bytes of a page, where all fold in memory: small enough for a processor's cache.
const LIGHT: (usize, usize) = (4_000, 2 << 20);

/// The same where a page is a transaction: fewer of them, each document written less often.
const HEAVY: (usize, usize) = (100_000, 16 << 20);

/// What a rebuild hears of the pass.
pub(super) enum Passed {
    /// A page; `alone`: of what this one wants and nothing else.
    Page { page: Arc<Page>, alone: bool },
    /// The log does not hold this event any more.
    Diverged(LogPosition),
}

/// A rebuild that is ready to take in the log from here on.
pub(super) struct Ready {
    pub from: LogPosition,
    pub pages: mpsc::Sender<Passed>,
}

/// The size of pages: `light`, if all that read them fold in memory.
pub(super) fn page_size(light: bool) -> PageSize {
    let (events, bytes) = if light { LIGHT } else { HEAVY };
    PageSize::new(events, bytes)
}

/// How many pages wait for a rebuild: the next is read while one is taken in.
pub(super) fn pages_ahead(light: bool) -> usize {
    if light { 3 } else { 1 }
}

/// How many pages are read at once, where it is known beforehand where they begin.
const AT_ONCE: usize = 2;

/// Reads the log once, from where the furthest back of them is, and hands each page to all. Ends at a page that is not
/// full, or when nobody listens any more; what went wrong with the store, each finds out by itself then.
pub(super) async fn pass(
    context: Arc<EngineContext>,
    interest: Interest,
    joining: Vec<oneshot::Receiver<Ready>>,
    size: PageSize,
) {
    let asked = joining.len();
    let mut ready: Vec<Ready> = Vec::with_capacity(asked);
    for join in joining {
        // One that failed before it began is not there.
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
                    // One that does not listen any more has ended for another reason.
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

/// Page after page of the log. While one is read, the next one is too: positions have no gap, so a page of which every
/// event is wanted ends where it is known to.
struct Pages {
    context: Arc<EngineContext>,
    interest: Interest,
    size: PageSize,
    at: LogPosition,
    /// Whether the last page ended where the next one was taken to begin.
    dense: bool,
    /// Being read, in order; the first of them begins at `at`.
    ahead: VecDeque<Ahead>,
}

/// A page that is being read.
struct Ahead {
    limit: usize,
    /// Where it ends if every event is wanted. It never ends before that, unless the log does.
    end: u64,
    read: JoinHandle<Result<Page, StoreError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.read.abort();
    }
}

impl Pages {
    /// The next page, and whether there may be more; `None`, if the log does not hold any more what it follows.
    async fn next(&mut self) -> Result<Option<(Page, bool)>, StoreError> {
        let at_once = if self.dense { AT_ONCE } else { 1 };
        while self.ahead.len() < at_once {
            let after = self.ahead.back().map_or(self.at.position, |last| last.end);
            let (context, interest, limit) = (self.context.clone(), self.interest.clone(), self.size.limit());
            let read = tokio::spawn(async move { context.store.read(after, limit, &interest).await });
            self.ahead.push_back(Ahead { limit, end: after.saturating_add(limit as u64), read });
        }
        let Some(mut first) = self.ahead.pop_front() else { return Ok(None) };
        let page = (&mut first.read).await.unwrap_or(Err(StoreError::Closed))?;
        // Looked at after the page was read, so that the page follows the event that we stand on.
        if !self.context.holds(self.at).await? {
            return Ok(None);
        }
        let full = page.events.len() >= first.limit;
        self.dense = full && page.to.position == first.end;
        if !self.dense {
            self.ahead.clear();
        }
        self.size.learn(&page.events);
        self.at = page.to;
        Ok(Some((page, full)))
    }
}

/// A page after this event; `None`, if the log does not hold that any more.
pub(super) async fn read(
    context: &EngineContext,
    after: LogPosition,
    limit: usize,
    interest: &Interest,
) -> Result<Option<Page>, StoreError> {
    let page = context.store.read(after.position, limit, interest).await?;
    // Looked at after the page was read, so that the page follows the event that we stand on.
    Ok(context.holds(after).await?.then_some(page))
}
