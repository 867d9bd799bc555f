//! One pass over the log for all rebuilds that begin together.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::events::Head;
use crate::projections::reader::PageSize;
use crate::projections::tracked::Core;
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
    Diverged(Head),
}

/// A rebuild that is ready to take in the log from here on.
pub(super) struct Ready {
    pub from: Head,
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

/// Reads the log once, from where the furthest back of them is, and hands each page to all. Ends at a page that is not
/// full, or when nobody listens any more; what went wrong with the store, each finds out by itself then.
pub(super) async fn pass(
    core: Arc<Core>,
    interest: Interest,
    joining: Vec<oneshot::Receiver<Ready>>,
    mut size: PageSize,
) {
    let asked = joining.len();
    let mut ready: Vec<Ready> = Vec::with_capacity(asked);
    for join in joining {
        // One that failed before it began is not there.
        ready.extend(join.await.ok());
    }
    let Some(mut after) = ready.iter().map(|ready| ready.from).min_by_key(|from| from.position) else { return };
    let alone = asked == 1;
    let mut listening: Vec<mpsc::Sender<Passed>> = ready.into_iter().map(|ready| ready.pages).collect();
    while !listening.is_empty() {
        let limit = size.limit();
        let page = match read(&core, after, limit, &interest).await {
            Ok(Some(page)) => Arc::new(page),
            Ok(None) => {
                for pages in &listening {
                    // One that does not listen any more has ended for another reason.
                    let _ = pages.send(Passed::Diverged(after)).await;
                }
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "a pass over the log ends early");
                return;
            }
        };
        size.learn(&page.events);
        after = page.to;
        let full = page.events.len() >= limit;
        let mut still = Vec::with_capacity(listening.len());
        for pages in listening {
            if pages.send(Passed::Page { page: page.clone(), alone }).await.is_ok() {
                still.push(pages);
            }
        }
        listening = still;
        if !full {
            return;
        }
    }
}

/// A page after this event; `None`, if the log does not hold that any more.
pub(super) async fn read(
    core: &Core,
    after: Head,
    limit: usize,
    interest: &Interest,
) -> Result<Option<Page>, StoreError> {
    let page = core.store.read(after.position, limit, interest).await?;
    // Looked at after the page was read, so that the page follows the event that we stand on.
    Ok(core.holds(after).await?.then_some(page))
}
