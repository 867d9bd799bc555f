//! [`FlowQuery`]: a query of flows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::flow::LargestFlows;
use super::sql::{self, Plan};
use super::stating::Layer;
use super::{
    FlowCursor, FlowError, FlowPage, Flows, GrantPage, NOT_RECORDED, OTHERS, Outcome, OutwardPage, REDACTED,
};
use super::{UnusualFlows, grants, outward, unusual};
use crate::digest::{PartsDigest, first_bytes};
use crate::events::{LogPosition, Ref, Topic};
use crate::projections::audit::Detail;
use crate::projections::metrics::Width;
use crate::projections::query_error::PATIENCE;
use crate::projections::{QueryError, Reading};

/// Rows of a page.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Checks and records reads of flows.
#[async_trait]
pub(crate) trait FlowAccess: Send + Sync + 'static {
    /// Called before anything is read, with the query in words and the filters. Returns how much the reader may see.
    async fn asked(&self, words: &str, filter: &FlowFilter) -> Result<Detail, FlowError>;

    /// Called before grants are read: of one party, or of all.
    async fn grants(&self, of: Option<&Ref>) -> Result<(), FlowError>;
}

/// The filters of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowFilter {
    pub actor: Option<Ref>,
    pub source: Option<String>,
    pub sink: Option<String>,
    pub outcome: Option<Outcome>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl FlowFilter {
    /// The things that it names.
    pub(crate) fn things(&self) -> Vec<Ref> {
        let places = self.source.iter().chain(&self.sink);
        places.filter(|place| !place.ends_with(":*")).filter_map(|place| place.parse().ok()).collect()
    }

    /// The topics that it names.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        let source = self.source.iter().filter(|source| !source.contains(':') && !source.starts_with('['));
        source.filter_map(|source| source.parse().ok()).collect()
    }

    /// The parts that are given, by name.
    fn values(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("actor", self.actor.as_ref().map(Ref::to_string)),
            ("source", self.source.clone()),
            ("sink", self.sink.clone()),
            ("outcome", self.outcome.map(|outcome| outcome.to_string())),
            ("from", self.from.map(|from| from.to_string())),
            ("until", self.until.map(|until| until.to_string())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// A query of flows. The same filters select in each of its answers.
///
/// ```no_run
/// # async fn example(annals: annals::prelude::Annals) -> Result<(), Box<dyn std::error::Error>> {
/// let app = "app:planner".parse()?;
/// for flow in annals.flows().actor(app).page().await?.flows {
///     println!("{:?} -> {:?}: {} times", flow.source, flow.sink, flow.count);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is run: call `page`, for example"]
pub struct FlowQuery {
    reading: Option<Reading>,
    flows: Arc<Flows>,
    has_rights: bool,
    filter: FlowFilter,
    limit: usize,
    cursor: Option<FlowCursor>,
    after: Option<LogPosition>,
    patience: Duration,
    access: Option<Arc<dyn FlowAccess>>,
}

impl FlowQuery {
    pub(crate) fn new(reading: Option<Reading>, flows: Arc<Flows>, has_rights: bool) -> Self {
        Self {
            reading,
            flows,
            has_rights,
            filter: FlowFilter::default(),
            limit: DEFAULT_LIMIT,
            cursor: None,
            after: None,
            patience: PATIENCE,
            access: None,
        }
    }

    /// Only flows through this actor.
    pub fn actor(mut self, actor: Ref) -> Self {
        self.filter.actor = Some(actor);
        self
    }

    /// Only flows from this source: a reference (`account:7`), all of a kind (`account:*`), or a topic.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.filter.source = Some(source.into());
        self
    }

    /// Only flows to this sink: a reference (`host:192.0.2.7`), or all of a kind (`host:*`).
    pub fn sink(mut self, sink: impl Into<String>) -> Self {
        self.filter.sink = Some(sink.into());
        self
    }

    /// Only flows with this outcome.
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.filter.outcome = Some(outcome);
        self
    }

    /// Only from the minute of this time on.
    pub fn from(mut self, from: Timestamp) -> Self {
        self.filter.from = Some(from);
        self
    }

    /// Only before the minute of this time.
    pub fn until(mut self, until: Timestamp) -> Self {
        self.filter.until = Some(until);
        self
    }

    /// The maximum number of rows of a page: by default 100, at most 1,000.
    pub fn limit(mut self, rows: usize) -> Self {
        self.limit = rows.min(MAX_LIMIT);
        self
    }

    /// Continues after an earlier page.
    pub fn cursor(mut self, cursor: FlowCursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Waits until the answer includes this write (a receipt).
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// The timeout of [`after`](Self::after): 30 seconds by default.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn access(mut self, access: Arc<dyn FlowAccess>) -> Self {
        self.access = Some(access);
        self
    }

    /// Reads a page of flows: at most [`limit`](Self::limit), and about a megabyte.
    ///
    /// # Errors
    /// When the application keeps no flows, the query is invalid or denied, or the tables cannot be read.
    pub async fn page(self) -> Result<FlowPage, FlowError> {
        sql::page(&self.plan("flows").await?, false).await
    }

    /// Reads a page of flows by minute, the oldest minute first: how fast they are.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn by_minute(self) -> Result<FlowPage, FlowError> {
        sql::page(&self.plan("flows by minute").await?, true).await
    }

    /// Reads the flows with the greatest counts, at most [`limit`](Self::limit), and counts the others.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn largest(self) -> Result<LargestFlows, FlowError> {
        sql::largest(&self.plan("the largest flows").await?).await
    }

    /// Reads which sources had a way out: a path from a source through an actor to a destination outside of the application, because
    /// the actor used the source before, or in what led out.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn outward(self) -> Result<OutwardPage, FlowError> {
        outward::page(&self.plan("flows that lead out").await?).await
    }

    /// Finds flows that are far from their own past, in slices of this width, by the rule of
    /// [`MetricQuery::anomalies`](crate::projections::metrics::MetricQuery::anomalies). Without [`from`](Self::from) the last 60
    /// slices are examined. There are no pages.
    ///
    /// # Errors
    /// As [`page`](Self::page); and when the width is not whole minutes, or the window has too many slices or flows.
    pub async fn unusual(self, width: Width) -> Result<UnusualFlows, FlowError> {
        unusual::find(&self.plan("unusual flows").await?, width).await
    }

    /// Reads a page of grants with their use in the window, side by side: the oldest grant first. Of the filters, the actor (the
    /// holder) and the window count. `unused`: only those that hold and were not used.
    ///
    /// # Errors
    /// As [`page`](Self::page); and when the application has no rights in its log.
    pub async fn grants(self, unused: bool) -> Result<GrantPage, FlowError> {
        if !self.has_rights {
            return Err(FlowError::NoRights);
        }
        let words = if unused { "unused grants" } else { "grants and their use" };
        if let Some(access) = self.access.as_ref().filter(|_| self.reading.is_some()) {
            access.grants(self.filter.actor.as_ref()).await?;
        }
        grants::page(&self.plan(words).await?, unused).await
    }

    /// Checks the query, asks access control, and waits.
    async fn plan(self, what: &str) -> Result<Plan, FlowError> {
        let reading = self.reading.ok_or(FlowError::Off)?;
        for place in self.filter.source.iter().chain(&self.filter.sink) {
            check_place(place)?;
        }
        if let Some(actor) = &self.filter.actor {
            actor.check().map_err(QueryError::from)?;
        }
        if self.limit == 0 {
            return Err(QueryError::NoLimit.into());
        }
        let values = self.filter.values();
        let mut digest = PartsDigest::default();
        digest.add(what);
        for (name, value) in &values {
            digest.add(name);
            digest.add(value);
        }
        let fingerprint = first_bytes(&digest.finish());
        if self.cursor.as_ref().is_some_and(|cursor| cursor.query != fingerprint) {
            return Err(QueryError::OtherCursor.into());
        }
        let parts: Vec<String> = values.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        let words = if parts.is_empty() { what.to_owned() } else { format!("{what}: {}", parts.join(", ")) };
        let detail = match &self.access {
            Some(access) => access.asked(&words, &self.filter).await?,
            None => Detail::Full,
        };
        if let Some(head) = self.after {
            reading.caught_up(head, Some(self.patience)).await?;
        }
        let layer = if detail == Detail::Full { Layer::Full } else { Layer::Metadata };
        let (filter, flows, limit) = (self.filter, self.flows, self.limit);
        Ok(Plan { reading, filter, flows, limit, cursor: self.cursor, fingerprint, detail, layer })
    }
}

/// A place is a reference, all references of a kind, a topic, or one of the marks.
fn check_place(place: &str) -> Result<(), FlowError> {
    let is_reference = place.parse::<Ref>().is_ok_and(|place| place.check().is_ok());
    let is_topic = || !place.is_empty() && !place.contains(':') && place.parse::<Topic>().is_ok();
    match is_reference || [REDACTED, NOT_RECORDED, OTHERS].contains(&place) || is_topic() {
        true => Ok(()),
        false => Err(FlowError::NoPlace(place.escape_debug().to_string())),
    }
}

impl fmt::Debug for FlowQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowQuery").field("filter", &self.filter).finish_non_exhaustive()
    }
}
