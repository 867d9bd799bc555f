//! [`Teller`]: one who follows a metric: as it is, then each change. Who is slow gets the latest.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use serde::Deserialize;
use tokio::sync::watch;

use super::counts::{Counts, Seen};
use super::{Asker, Closing, Ending, Problem, Reason, Step, Steps};
use crate::events::LogPosition;
use crate::projections::RangeBound;
use crate::projections::audit::{AuditQuery, Cursor, Sieve};
use crate::projections::metrics::{Metric, MetricQuery};

/// Which numbers are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asking {
    /// The topic; empty: all there is.
    pub topic: String,
    /// From here on.
    pub from: Option<RangeBound>,
    /// Up to here.
    pub until: Option<RangeBound>,
}

impl Asking {
    pub(super) fn of(&self, query: MetricQuery) -> MetricQuery {
        let query = self.from.into_iter().fold(query, MetricQuery::from);
        self.until.into_iter().fold(query, MetricQuery::until)
    }

    /// The rows that are counted: cursors of a metric are cursors of these.
    fn rows(&self, query: AuditQuery) -> AuditQuery {
        let query = self.from.into_iter().fold(query.topic(&self.topic), AuditQuery::from);
        self.until.into_iter().fold(query, AuditQuery::until)
    }
}

pub(super) struct Teller {
    seen: watch::Receiver<Seen>,
    rows: Sieve,
    closing: Closing,
    /// What is told next.
    first: Option<Arc<Metric>>,
    /// What was told last.
    last: Arc<Metric>,
}

impl Teller {
    /// Reads the metric, so that what is wrong is said before anything else. A cursor has to be of this log.
    pub(super) async fn open(
        counts: Arc<Counts>,
        asker: &Asker,
        asking: Asking,
        cursor: Option<Cursor>,
        closing: Closing,
    ) -> Result<Self, Problem> {
        let query = asking.of(asker.metric(&asking.topic).await?);
        let rows = cursor.into_iter().fold(asking.rows(counts.annals().audit()), AuditQuery::cursor).sieve()?;
        rows.check().await?;
        // What is seen before this is not newer than what is read after.
        let seen = counts.subscribe(&asking);
        let first = Arc::new(query.await?);
        Ok(Self { seen, rows, closing, first: Some(first.clone()), last: first })
    }

    /// What comes, up to the end.
    pub(super) fn steps(self) -> Steps {
        stream::unfold(Some(self), async |teller| {
            let mut teller = teller?;
            match teller.next().await {
                step @ Step::End(_) => Some((step, None)),
                step => Some((step, Some(teller))),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Step {
        if let Some(metric) = self.first.take() {
            return self.tell(metric);
        }
        loop {
            tokio::select! {
                biased;
                reason = self.closing.closed() => return self.end(reason),
                changed = self.seen.changed() => if changed.is_err() {
                    let last = self.seen.borrow().clone();
                    return match last {
                        Some(Err(problem)) => Step::End(Ending::failed(problem, self.cursor())),
                        _ => self.end(Reason::Shutdown),
                    };
                }
            }
            let seen = self.seen.borrow_and_update().clone();
            if let Some(Ok(metric)) = seen
                && self.is_news(&metric)
            {
                return self.tell(metric);
            }
        }
    }

    /// Whether it is later than what was told, and its counts are others.
    fn is_news(&self, metric: &Metric) -> bool {
        let last = &self.last;
        let later = metric.head.position >= last.head.position && metric.until >= last.until;
        let same = metric.total == last.total && metric.by_event == last.by_event && metric.rates == last.rates;
        later && !same
    }

    fn tell(&mut self, metric: Arc<Metric>) -> Step {
        self.last = metric.clone();
        Step::Metric(metric, self.cursor())
    }

    fn end(&self, reason: Reason) -> Step {
        Step::End(Ending::new(reason, self.cursor()))
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(self.last.head).filter(|head| *head != LogPosition::default()).map(|head| self.rows.cursor(head))
    }
}
