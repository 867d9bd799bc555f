//! One document as of a moment: the events of its key up to there, folded in memory.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::read_error::ReadError;
use super::reading::Reading;
use super::write::guarded;
use crate::events::{LogPosition, Ref, Stored};
use crate::projections::engine::page_size::PageSize;
use crate::projections::fold::{Fold, FoldBase, KeyFilter, key_name};
use crate::store::read_history;

/// The most events, and about the bytes, that are read at a time.
const PAGE: usize = 4_000;
const PAGE_BYTES: usize = 2 << 20;

/// How much of the log was read, and how much is to be read.
pub(in crate::projections) type ScanProgress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

impl Reading {
    /// The thing that a key names, if it names one.
    pub(crate) fn named(&self, key: &str) -> Option<Ref> {
        self.handle().projection.named(key)
    }

    /// The aggregate whose events alone make the documents under this key, if the view says so.
    pub(in crate::projections) fn only_aggregate(&self, key: &str) -> Option<Ref> {
        let projection = &self.handle().projection;
        projection.named(key).filter(|_| projection.one_aggregate())
    }

    /// The document under a key after all events up to `until`, as JSON text. It is found among the events of one aggregate if the view
    /// says so, and otherwise by a scan of the log for the view's event types.
    pub(in crate::projections) async fn document_at(
        &self,
        key: &str,
        until: LogPosition,
        within: Option<Duration>,
        progress: ScanProgress<'_>,
    ) -> Result<Option<String>, ReadError> {
        let Some(fold) = self.handle().projection.fold(FoldBase::Empty) else { return Err(self.no_keys()) };
        let names = HashSet::from([key_name(key).into_owned()]);
        let limit = Limit { until, within, since: Instant::now() };
        let mut past = Past { reading: self, fold, names, checked: false };
        match self.only_aggregate(key) {
            Some(aggregate) => past.read_aggregate(&aggregate, &limit).await?,
            None => past.scan(&limit, progress).await?,
        }
        let Past { fold, .. } = past;
        guarded(async { fold.document(key) }).await.map_err(|source| self.past_error(until.position, source))
    }

    fn no_keys(&self) -> ReadError {
        ReadError::Invalid(format!(
            "`{}` does not say which keys an event touches, so the past of one of its documents cannot be folded: implement \
             `Projection::keys` and `Projection::fold`",
            self.name()
        ))
    }

    fn past_error(&self, position: u64, source: crate::projections::ProjectionError) -> ReadError {
        ReadError::Past { name: self.name().to_owned(), position, source }
    }
}

/// How far and how long the log is read.
struct Limit {
    until: LogPosition,
    within: Option<Duration>,
    since: Instant,
}

/// The fold of one key.
struct Past<'a> {
    reading: &'a Reading,
    fold: Box<dyn Fold>,
    names: HashSet<String>,
    /// Whether the projection is known to have keys.
    checked: bool,
}

impl Past<'_> {
    async fn read_aggregate(&mut self, aggregate: &Ref, limit: &Limit) -> Result<(), ReadError> {
        let (reading, mut after) = (self.reading, 0);
        loop {
            let mut events = read_history(&**reading.log(), aggregate, after, PAGE).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.sequence;
            let ends = last.position > limit.until.position;
            events.retain(|stored| stored.position <= limit.until.position && reading.interest().wants(stored));
            self.gather(&events).await?;
            if ends {
                return Ok(());
            }
            limit.check(reading, last_position(&events))?;
        }
    }

    async fn scan(&mut self, limit: &Limit, progress: ScanProgress<'_>) -> Result<(), ReadError> {
        let (reading, until) = (self.reading, limit.until);
        let (mut at, mut size) = (LogPosition::default(), PageSize::new(PAGE, PAGE_BYTES));
        while at.position < until.position {
            let mut page = size.read(&**reading.log(), at.position, reading.interest()).await?;
            size.adapt(&page.events);
            page.events.truncate(page.events.partition_point(|stored| stored.position <= until.position));
            self.gather(&page.events).await?;
            at = if page.to.position < until.position { page.to } else { until };
            progress(at.position, until.position);
            limit.check(reading, at.position)?;
        }
        // The log may have been replaced by an older one meanwhile.
        match until.position == 0 || reading.holds(until).await? {
            true => Ok(()),
            false => Err(ReadError::Diverged(until)),
        }
    }

    async fn gather(&mut self, events: &[Stored]) -> Result<(), ReadError> {
        let (reading, projection) = (self.reading, &self.reading.handle().projection);
        if let Some(first) = events.first().filter(|_| !self.checked) {
            let keys = guarded(async { projection.keys(first) }).await;
            if keys.map_err(|source| reading.past_error(first.position, source))?.is_none() {
                return Err(reading.no_keys());
            }
            self.checked = true;
        }
        let (fold, names) = (&mut self.fold, &self.names);
        let gathered = guarded(async {
            fold.gather(events, KeyFilter::Only(names))?;
            fold.fold();
            Ok(())
        });
        let gathered = gathered.await;
        gathered.map_err(|source| reading.past_error(self.fold.position(), source))?;
        tokio::task::yield_now().await;
        Ok(())
    }
}

fn last_position(events: &[Stored]) -> u64 {
    events.last().map_or(0, |last| last.position)
}

impl Limit {
    /// Fails when the time is over.
    fn check(&self, reading: &Reading, position: u64) -> Result<(), ReadError> {
        match self.within {
            Some(within) if self.since.elapsed() > within && position < self.until.position => {
                Err(ReadError::PastTooLong {
                    name: reading.name().to_owned(),
                    waited: within,
                    position,
                    until: self.until.position,
                })
            }
            _ => Ok(()),
        }
    }
}
