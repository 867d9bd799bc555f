//! [`PageSize`]: how many events are read at a time, adapted to their size.

use crate::events::Stored;
use crate::store::{Interest, Page, Store, StoreError};

/// The size of the first page, before the size of the events is known.
const FIRST: usize = 64;

/// An adaptive page size: as many events as are likely to fit into a number of bytes.
#[derive(Clone)]
pub(in crate::projections) struct PageSize {
    limit: usize,
    most: usize,
    bytes: usize,
}

impl PageSize {
    /// At most this many events, and this many bytes: the last event of a page may exceed them.
    pub fn new(most: usize, bytes: usize) -> Self {
        Self { limit: most.min(FIRST), most, bytes }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Reads the next page.
    pub async fn read(&self, log: &dyn Store, after: u64, interest: &Interest) -> Result<Page, StoreError> {
        log.read_bounded(after, self.limit, self.bytes, interest).await
    }

    /// Whether a page that was read with this limit is full, so that more may follow.
    pub fn is_full(&self, limit: usize, events: &[Stored]) -> bool {
        events.len() >= limit || events.iter().map(Stored::text_bytes).sum::<usize>() >= self.bytes
    }

    /// Adapts to the size of the events of a page.
    pub fn adapt(&mut self, events: &[Stored]) {
        self.adapt_to(events.len(), events.iter().map(bytes_of).sum());
    }

    /// Adapts to the number of events of a page, and their size together.
    fn adapt_to(&mut self, count: usize, bytes: usize) {
        if let Some(average) = bytes.checked_div(count) {
            let fit = self.bytes / average.max(1);
            self.limit = fit.clamp(1, self.limit.saturating_mul(8)).min(self.most);
        }
    }
}

/// Approximate size of an event in memory.
fn bytes_of(stored: &Stored) -> usize {
    let texts = [stored.aggregate.as_str(), &stored.event_type, &stored.event_version, &stored.payload];
    let texts: usize = texts.iter().map(|text| text.len() + 16).sum();
    size_of::<Stored>() + texts + stored.metadata.len() + 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_as_many_events_as_fit_and_grows_step_by_step() {
        let mut size = PageSize::new(10_000, 1_000_000);
        let limits = [100, 100, 100, 100_000, 4_000_000, 10].map(|bytes| {
            let limit = size.limit();
            size.adapt_to(limit, limit * bytes);
            limit
        });
        assert_eq!(limits, [64, 512, 4_096, 10_000, 10, 1]);
        size.adapt_to(0, 0);
        assert_eq!(size.limit(), 8, "nothing was learned from an empty page");
    }
}
