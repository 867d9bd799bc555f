//! Along with the log, by the pages that one reader shares with all.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, timeout};

use super::{Halt, Runner};
use crate::events::{LogPosition, Stored};
use crate::projections::engine::reader::SharedPage;
use crate::store::Page;

/// How long a checkpoint that moved past unwanted events alone may stay unwritten while nobody waits for it.
const COALESCE: Duration = Duration::from_secs(1);

/// How long a projection that follows live waits for its turn. All at once, they would take every core from the writers
/// for as long as a page needs; but nobody waits long for one that is slow.
const TURN: Duration = Duration::from_millis(20);

impl Runner {
    /// Takes pages from the shared reader; returns when it has to read for itself.
    pub(super) async fn keep_up(&mut self) -> Result<(), Halt> {
        loop {
            if self.handle.is_asked_beyond(self.stored.position) {
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

    /// Takes a page, and in the same step what waits behind it: a step costs about as much however much it takes in, so
    /// that who is behind has less to do for each event. False: it has to read for itself.
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
        self.size.learn(&events);
        self.take(&events, to).await?;
        Ok(whole)
    }

    /// The pages that wait behind `first`, up to about as much as is read at a time. False: behind them comes something
    /// else than the next page.
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
