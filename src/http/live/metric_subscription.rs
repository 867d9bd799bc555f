//! [`MetricSubscription`]: sends a metric's current value, then its changes. A slow client skips to the latest value.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::watch;

use super::metric_watchers::{LatestMetric, MetricWatchers};
use super::stream::Subscription;
use super::{Caller, EndReason, LiveItem, Problem, StreamEnd, StreamLifetime};
use crate::events::LogPosition;
use crate::projections::audit::{AuditQuery, Cursor, QueryPlan};
use crate::projections::metrics::{Metric, MetricQuery};
use crate::projections::{FollowRight, RangeBound};

/// Which metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MetricParams {
    /// The topic; empty for all events.
    pub topic: String,
    pub by_occurrence: bool,
    pub from: Option<RangeBound>,
    pub until: Option<RangeBound>,
}

impl MetricParams {
    /// Applies the range to a query.
    pub(super) fn apply_to(&self, query: MetricQuery) -> MetricQuery {
        let query = if self.by_occurrence { query.by_occurrence() } else { query };
        let query = self.from.into_iter().fold(query, MetricQuery::from);
        self.until.into_iter().fold(query, MetricQuery::until)
    }

    /// The query for the counted rows. A metric's cursors are cursors of this query.
    fn counted_rows(&self, query: AuditQuery) -> AuditQuery {
        let bounded =
            |query: AuditQuery, bound: Option<RangeBound>, from: bool| match (bound, self.by_occurrence, from) {
                (Some(RangeBound::Time(time)), true, true) => query.occurred_from(time),
                (Some(RangeBound::Time(time)), true, false) => query.occurred_until(time),
                (Some(bound), false, true) => query.from(bound),
                (Some(bound), false, false) => query.until(bound),
                // A bound by occurrence that is no time is refused when the metric is read.
                (Some(_), true, _) | (None, ..) => query,
            };
        bounded(bounded(query.topic(&self.topic), self.from, true), self.until, false)
    }
}

pub(super) struct MetricSubscription {
    latest: watch::Receiver<LatestMetric>,
    rows: QueryPlan,
    lifetime: StreamLifetime,
    right: FollowRight,
    /// The value that is sent first.
    first: Option<Arc<Metric>>,
    /// The value that was sent last.
    last: Arc<Metric>,
}

impl MetricSubscription {
    /// Reads the metric, so that an error is returned before the stream begins. A cursor must be of this log.
    pub(super) async fn open(
        watchers: Arc<MetricWatchers>,
        caller: &Caller,
        params: MetricParams,
        cursor: Option<Cursor>,
        lifetime: StreamLifetime,
    ) -> Result<Self, Problem> {
        let (query, right) = caller.follow_metric(&params.topic).await?;
        let query = params.apply_to(query);
        let rows = params.counted_rows(watchers.annals().audit());
        let rows = cursor.into_iter().fold(rows, AuditQuery::cursor).live_plan()?;
        rows.check_cursor().await?;
        // Subscribed before the read: no change is lost between the two.
        let latest = watchers.subscribe(&params);
        let first = Arc::new(query.await?);
        Ok(Self { latest, rows, lifetime, right, first: Some(first.clone()), last: first })
    }

    /// Whether a metric is later than the last sent value, and differs from it.
    fn is_change(&self, metric: &Metric) -> bool {
        let last = &self.last;
        let later = metric.head.position >= last.head.position && metric.until >= last.until;
        let same = metric.total == last.total && metric.by_event == last.by_event && metric.rates == last.rates;
        later && !same
    }

    fn item(&mut self, metric: Arc<Metric>) -> LiveItem {
        self.last = metric.clone();
        LiveItem::Metric(metric, self.cursor())
    }

    fn end(&self, reason: EndReason) -> LiveItem {
        LiveItem::End(StreamEnd::new(reason, self.cursor()))
    }

    fn cursor(&self) -> Option<Cursor> {
        Some(self.last.head).filter(|head| *head != LogPosition::default()).map(|head| self.rows.cursor_at(head))
    }
}

impl Subscription for MetricSubscription {
    async fn next(&mut self) -> LiveItem {
        if let Some(metric) = self.first.take() {
            return self.item(metric);
        }
        loop {
            tokio::select! {
                biased;
                reason = self.lifetime.ended() => return self.end(reason),
                end = self.right.ended() => {
                    return LiveItem::End(StreamEnd::failed(end.into(), self.cursor()));
                }
                changed = self.latest.changed() => if changed.is_err() {
                    let latest = self.latest.borrow().clone();
                    return match latest {
                        Some(Err(problem)) => LiveItem::End(StreamEnd::failed(problem, self.cursor())),
                        _ => self.end(EndReason::Shutdown),
                    };
                }
            }
            let latest = self.latest.borrow_and_update().clone();
            if let Some(Ok(metric)) = latest
                && self.is_change(&metric)
            {
                return self.item(metric);
            }
        }
    }
}
