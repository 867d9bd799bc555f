//! Live processing: pages that one reader shares with all projections.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, timeout};

use super::{Halt, Runner};
use crate::events::{LogPosition, Stored};
use crate::projections::engine::reader::SharedPage;
use crate::store::Page;

/// How long a checkpoint that only moved past unwanted events may stay unwritten while no caller waits for it.
const COALESCE: Duration = Duration::from_secs(1);

/// How long a live projection waits for its turn. Without turns, all projections together would take every core
/// from the writers for each page; the limit keeps a slow projection from holding up the others.
const TURN: Duration = Duration::from_millis(20);

impl Runner {
    /// Processes shared pages; returns when the projection must read the log itself.
    pub(super) async fn keep_up(&mut self) -> Result<(), Halt> {
        loop {
            if self.handle.is_requested_beyond(self.stored.position) {
                self.write_checkpoint().await?;
            }
            let due = self.ahead.map(|since| since + COALESCE);
            tokio::select! {
                biased;
                () = self.context.closed() => {
                    self.write_checkpoint().await?;
                    return Err(Halt::Closed);
                }
                () = self.handle.nudge.notified() => {}
                shared = self.pages.recv() => match shared {
                    Ok(SharedPage::Page { from, page }) => {
                        if from.position > self.seen.position || !self.take_shared(from, page).await? {
                            return Ok(());
                        }
                    }
                    Ok(SharedPage::Gap) | Err(RecvError::Lagged(_)) => return Ok(()),
                    Err(RecvError::Closed) => return Err(Halt::Closed),
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.write_checkpoint().await?;
                }
            }
        }
    }

    /// Applies a page together with the pages buffered behind it: a transaction costs about the same for any number
    /// of events, so a projection that lags spends less for each event. Returns false if it must read the log
    /// itself.
    async fn take_shared(&mut self, from: LogPosition, page: Arc<Page>) -> Result<bool, Halt> {
        let seen = self.seen;
        if page.to.position <= seen.position {
            return Ok(true);
        }
        let other = |event: LogPosition| event.position == seen.position && event.event_id != seen.event_id;
        let start = page.events.partition_point(|stored| stored.position <= seen.position);
        if other(from) || page.events[..start].last().is_some_and(|stored| other(stored.head())) {
            return self.check_seen().await.map(|()| true);
        }
        self.collect().await;
        let context = self.context.clone();
        let _turn = timeout(TURN, context.turns.acquire()).await;
        let (waiting, whole) = self.waiting(&page);
        let to = waiting.last().unwrap_or(&page).to;
        let events: Cow<'_, [Stored]> = match waiting.is_empty() && self.handle.wants_all() {
            true => Cow::Borrowed(&page.events[start..]),
            false => {
                let events = page.events[start..].iter().chain(waiting.iter().flat_map(|page| &page.events));
                events.filter(|stored| self.handle.wants(stored)).cloned().collect()
            }
        };
        self.size.adapt(&events);
        self.apply(&events, to).await?;
        Ok(whole)
    }

    /// Waits while more pages are buffered, unless a caller waits for the projection.
    async fn collect(&self) {
        let interval = self.handle.projection.interval();
        if interval.is_zero() || self.handle.is_requested_beyond(self.stored.position) {
            return;
        }
        tokio::select! {
            () = self.context.closed() => {}
            () = self.handle.nudge.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }

    /// The pages buffered behind `first`, up to about the page size. Returns false if a message other than the next
    /// page follows.
    fn waiting(&mut self, first: &Page) -> (Vec<Arc<Page>>, bool) {
        let (mut waiting, mut to, mut events) = (Vec::new(), first.to, first.events.len());
        while events < self.size.limit() {
            match self.pages.try_recv() {
                Ok(SharedPage::Page { from, page }) if from == to => {
                    to = page.to;
                    events += page.events.len();
                    waiting.push(page);
                }
                Err(TryRecvError::Empty) => break,
                _ => return (waiting, false),
            }
        }
        (waiting, true)
    }
}
