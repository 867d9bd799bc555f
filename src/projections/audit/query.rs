//! [`AuditQuery`]: a query of the audit log; its filters are in `params`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::Timestamp;

use super::count::{MAX_TIME, count};
use super::page::read_page;
use super::snapshots::Snapshots;
use super::{
    AuditAccess, AuditCount, AuditError, AuditFilter, AuditPage, AuditRequest, AuditRow, Cursor, Detail,
    ExportTarget, QueryPlan, follow,
};
use crate::digest::{PartsDigest, first_bytes};
use crate::events::LogPosition;
use crate::projections::query_error::PATIENCE;
use crate::projections::{QueryError, Reading};
use crate::store::{Clock, ViewSnapshot};

/// A query of the audit log.
///
/// A filter may be given several times: an event matches if it has any of the values, and is returned once. It has to match
/// all filters. An unknown actor, target, aggregate or correlation is no error: the result is empty. A topic or event type
/// that the application does not declare is an error.
///
/// An invalid query is reported when it is run: by [`page`](Self::page), or as the first item of a stream.
///
/// ```
/// use annals::projections::Reading;
/// use annals::projections::audit::{AuditError, AuditQuery};
///
/// async fn latest(audit: Reading) -> Result<(), AuditError> {
///     let page = AuditQuery::new(audit).actor("user:alice").topic("project").newest_first().limit(20).page().await?;
///     for row in page.rows {
///         println!("{} {}", row.recorded_at, row.sentence);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is run: call `page`, `count`, `stream` or `follow`"]
pub struct AuditQuery {
    pub(super) reading: Reading,
    pub(super) filter: AuditFilter,
    by_occurrence: bool,
    newest_first: bool,
    shortened: bool,
    sealed: bool,
    limit: Option<u64>,
    cursor: Option<Cursor>,
    after: Option<LogPosition>,
    since: Option<LogPosition>,
    patience: Duration,
    clock: Clock,
    detail: Option<Detail>,
    follows: bool,
    access: Option<Arc<dyn AuditAccess>>,
    export: Option<ExportTarget>,
    problem: Option<QueryError>,
}

impl AuditQuery {
    /// All events, oldest first.
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            filter: AuditFilter::default(),
            by_occurrence: false,
            newest_first: false,
            shortened: false,
            sealed: false,
            limit: None,
            cursor: None,
            after: None,
            since: None,
            patience: PATIENCE,
            clock: Arc::new(Timestamp::now),
            detail: None,
            follows: false,
            access: None,
            export: None,
            problem: None,
        }
    }

    /// Sorts by time of occurrence instead of by position: after an import the two differ. An event that is recorded between
    /// two pages, but occurred before the rows already read, is not returned.
    pub fn by_occurrence(mut self) -> Self {
        self.by_occurrence = true;
        self
    }

    /// Newest first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Oldest first: the default.
    pub fn oldest_first(mut self) -> Self {
        self.newest_first = false;
        self
    }

    /// The maximum number of rows: of a page, or of a whole stream.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Shortens long sentences, changes and payloads for people to read: see [`short`](crate::projections::presenter::short).
    /// More rows then fit into a page.
    pub fn shortened(mut self) -> Self {
        self.shortened = true;
        self
    }

    /// How much of each event is asked for. By default as much as the caller may see: the answer says which. Metadata cannot
    /// be filtered by text.
    pub fn detail(mut self, detail: Detail) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Continues after an earlier page.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Waits until the audit log has applied this write (a receipt), so that the result includes it.
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// The timeout of [`after`](Self::after): 30 seconds by default.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The clock that decides when a followed range has ended. It should be the store's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Has the query checked and recorded before it is answered, and again for each further page of a stream.
    pub fn access(mut self, access: Arc<dyn AuditAccess>) -> Self {
        self.access = Some(access);
        self
    }

    /// The cursor of this query that continues after `row`, in the middle of a page or stream.
    ///
    /// # Errors
    /// When the query is invalid.
    pub fn cursor_after(&self, row: &AuditRow) -> Result<Cursor, AuditError> {
        let plan = self.clone().plan()?;
        Ok(plan.cursor_at(LogPosition { position: row.position, event_id: row.event_id }))
    }

    /// Reads one page: [`limit`](Self::limit) rows, by default 50, at most 1,000.
    ///
    /// It takes a few statements, however long the log and whatever the query. If several filters each match many events and
    /// few events match all of them, about 5,000 are examined: the page may hold fewer rows, or none, with a cursor to
    /// continue from. A page also ends when its rows have a megabyte of text: one row may be larger. Only a page without a
    /// cursor is the last.
    ///
    /// # Errors
    /// When the query is invalid or denied, or the audit log or an event of the page cannot be read.
    pub async fn page(self) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        let snapshots = Snapshots::of(&plan.reading, LogPosition::default());
        read_page(&plan, &mut place, snapshots, plan.page_rows()).await
    }

    /// Reads one page in a snapshot of the audit log (of [`Reading::snapshot`]): all reads of the snapshot see the same log.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn page_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        read_page(&plan, &mut place, Snapshots::Given(snapshot), plan.page_rows()).await
    }

    /// Counts the events, by actor, action and event type.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn count(self) -> Result<AuditCount, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        count(&plan, &mut place, Snapshots::of(&plan.reading, LogPosition::default()), MAX_TIME).await
    }

    /// Counts, and ends a count by text after this time.
    #[cfg(test)]
    pub(in crate::projections) async fn count_within(self, within: Duration) -> Result<AuditCount, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        count(&plan, &mut place, Snapshots::of(&plan.reading, LogPosition::default()), within).await
    }

    /// Counts the events in a snapshot of the audit log.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn count_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<AuditCount, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        count(&plan, &mut place, Snapshots::Given(snapshot), MAX_TIME).await
    }

    /// Streams all rows up to the limit, of the log as it is when the first page is read. An error ends the stream.
    pub fn stream(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        follow::stored(self.plan())
    }

    /// Streams stored rows, then live ones: each event once, in log order. The stream ends at the limit, at the end of the
    /// range (if that is a time, a second after it), when it is dropped, and when the application is closed. An error ends it
    /// too, for instance if the projection stopped.
    ///
    /// Access control is asked again when its answer may have changed. If it denies, the stream ends with
    /// [`AuditError::Denied`] within a second; within two seconds, if another process revoked the right. If that cannot be
    /// known, because the store does not answer, it ends with [`AuditError::Unconfirmed`]. Both have a cursor to continue from.
    pub fn follow(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        follow::live(self.live_plan())
    }

    /// The plan of a followed query, for callers that share one reader of the log among many queries: see [`QueryPlan`].
    ///
    /// # Errors
    /// When the query is invalid, or its order is not that in which events are recorded.
    pub fn live_plan(mut self) -> Result<QueryPlan, QueryError> {
        self.follows = true;
        match (self.newest_first, self.by_occurrence) {
            (true, _) => Err(QueryError::FollowNewestFirst),
            (_, true) => Err(QueryError::FollowByOccurrence),
            _ => self.plan(),
        }
    }

    /// The same query, whose pages belong to a stream that is followed live.
    #[cfg(feature = "http")]
    pub(crate) fn followed(mut self) -> Self {
        self.follows = true;
        self
    }

    /// The same query after access control was asked.
    #[cfg(feature = "http")]
    pub(crate) fn allowed(mut self) -> Self {
        self.access = None;
        self
    }

    /// The head of the log that a result would cover. Nothing is read, so access control is not asked.
    #[cfg(feature = "export")]
    pub(crate) async fn head(&self) -> Result<LogPosition, AuditError> {
        let plan = Self { access: None, ..self.clone() }.plan()?;
        plan.begin().await?;
        Ok(plan.reading.snapshot().await?.head())
    }

    /// The same query for an export.
    #[cfg(feature = "export")]
    pub(crate) fn exported_to(mut self, format: String, head: LogPosition, to: Option<crate::events::Ref>) -> Self {
        self.export = Some(ExportTarget { format, head, to });
        self
    }

    /// Asks access control, and streams all rows up to the limit, with how much of each event they show.
    #[cfg(feature = "export")]
    pub(crate) async fn stream_with_detail(
        self,
    ) -> Result<(Detail, BoxStream<'static, Result<AuditRow, AuditError>>), AuditError> {
        follow::stored_with_detail(self.plan()?).await
    }

    /// Continues after this event, whether or not it matches.
    #[cfg(feature = "feeds")]
    pub(crate) fn since(mut self, event: LogPosition) -> Self {
        self.since = Some(event);
        self
    }

    /// Leaves personal values sealed: what a feed has sent cannot be erased.
    #[cfg(feature = "feeds")]
    pub(crate) fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Whether it selects each event of the log, in the order of the log.
    #[cfg(feature = "feeds")]
    pub(crate) fn is_whole(&self) -> bool {
        self.filter.recorded().is_empty()
    }

    /// Why a feed cannot ask it, if it cannot.
    #[cfg(feature = "feeds")]
    pub(crate) fn check_for_feed(&self) -> Result<(), QueryError> {
        self.clone().live_plan().map(drop)
    }

    /// The reading and the range, for an export.
    #[cfg(feature = "export")]
    pub(crate) fn parts(&self) -> (&Reading, &AuditFilter) {
        (&self.reading, &self.filter)
    }

    /// Keeps the first problem until the query is run.
    pub(super) fn checked<T>(&mut self, result: Result<T, QueryError>) -> Option<T> {
        result.map_err(|problem| self.problem.get_or_insert(problem)).ok()
    }

    pub(super) fn plan(mut self) -> Result<QueryPlan, QueryError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if self.limit == Some(0) {
            return Err(QueryError::NoLimit);
        }
        self.filter.check_and_simplify()?;
        if self.detail == Some(Detail::Metadata) && self.filter.needs_full() {
            return Err(QueryError::TextOfMetadata);
        }
        let order = [(self.by_occurrence, "by occurrence"), (self.newest_first, "newest first")];
        let order: Vec<&str> = order.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
        let fingerprint = fingerprint(&self.filter, &order);
        if self.cursor.is_some_and(|cursor| cursor.query() != fingerprint) {
            return Err(QueryError::OtherCursor);
        }
        let since = self.since.filter(|since| since.position > 0);
        self.cursor = since.map(|since| Cursor::new(since, fingerprint)).or(self.cursor);
        let access = self.access.take();
        let access = access.map(|access| {
            let (detail, follows) = (self.detail, self.follows);
            (access, AuditRequest::new(self.filter.clone(), &order, detail, follows, self.export))
        });
        Ok(QueryPlan {
            reading: self.reading,
            filter: self.filter,
            by_occurrence: self.by_occurrence,
            newest_first: self.newest_first,
            shortened: self.shortened,
            sealed: self.sealed,
            limit: self.limit,
            cursor: self.cursor,
            after: self.after.map(|head| (head, self.patience)),
            clock: self.clock,
            fingerprint,
            detail: self.detail,
            access,
        })
    }
}

/// Identifies a query in its cursors: a hash of the filter and the order. Limit, cursor and `after` are not part of it.
fn fingerprint(filter: &AuditFilter, order: &[&str]) -> [u8; 8] {
    let mut digest = PartsDigest::default();
    for (name, values) in filter.values() {
        digest.add(name);
        digest.add(values.len().to_string());
        values.iter().for_each(|value| digest.add(value));
    }
    order.iter().for_each(|name| digest.add(name));
    first_bytes(&digest.finish())
}

impl fmt::Debug for AuditQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQuery")
            .field("filter", &self.filter)
            .field("newest_first", &self.newest_first)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
