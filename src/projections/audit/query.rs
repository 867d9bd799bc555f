//! [`AuditQuery`]: the builder of questions to the audit log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::Timestamp;

use super::count::count;
use super::filters::{Filters, MOST_VALUES};
use super::page::read_page;
use super::plan::Plan;
use super::{AuditAccess, AuditCount, AuditError, AuditPage, AuditRow, Cursor, ExportTarget, follow};
use crate::events::{Action, LogPosition, Ref, Topic};
use crate::projections::query_error::{PATIENCE, check_event, check_range, check_topic};
use crate::projections::{QueryError, RangeBound, Reading};
use crate::store::{Clock, ViewSnapshot};

/// A question to the audit log.
///
/// A filter may be given more than once: any of its values will do, and a row that has several comes once. Different
/// filters must all agree. An actor, target, aggregate or correlation that nobody has heard of is no error: the
/// answer is empty. A topic or event type that the application does not declare is one.
///
/// What is wrong with a question is said when it is asked: by [`page`](Self::page) or as the first item of a stream.
///
/// ```
/// use annals::projections::Reading;
/// use annals::projections::audit::{AuditError, AuditQuery};
///
/// async fn last_words(audit: Reading) -> Result<(), AuditError> {
///     let page = AuditQuery::new(audit).actor("user:alice").topic("project").newest_first().limit(20).page().await?;
///     for row in page.rows {
///         println!("{} {}", row.recorded_at, row.sentence);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until a page or a stream is asked for"]
pub struct AuditQuery {
    reading: Reading,
    pub(super) filters: Filters,
    pub(super) from: Option<RangeBound>,
    pub(super) until: Option<RangeBound>,
    pub(super) occurred_from: Option<Timestamp>,
    pub(super) occurred_until: Option<Timestamp>,
    pub(super) by_occurrence: bool,
    pub(super) newest_first: bool,
    limit: Option<u64>,
    cursor: Option<Cursor>,
    after: Option<LogPosition>,
    patience: Duration,
    clock: Clock,
    access: Option<Arc<dyn AuditAccess>>,
    pub(super) export: Option<ExportTarget>,
    problem: Option<QueryError>,
}

impl AuditQuery {
    /// All events, oldest first.
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            filters: Filters::default(),
            from: None,
            until: None,
            occurred_from: None,
            occurred_until: None,
            by_occurrence: false,
            newest_first: false,
            limit: None,
            cursor: None,
            after: None,
            patience: PATIENCE,
            clock: Arc::new(Timestamp::now),
            access: None,
            export: None,
            problem: None,
        }
    }

    /// Events that this actor caused: `user:alice`.
    pub fn actor(self, actor: impl fmt::Display) -> Self {
        self.reference(actor, |filters| &mut filters.actors)
    }

    /// Events that were done to this thing, the aggregate itself among them: `project:7`. It need not exist any more.
    pub fn target(self, target: impl fmt::Display) -> Self {
        self.reference(target, |filters| &mut filters.targets)
    }

    /// Events of this topic or one below it: `project/member`.
    pub fn topic(mut self, topic: impl fmt::Display) -> Self {
        let topic = topic.to_string().parse::<Topic>().map_err(QueryError::from);
        let checked = topic.and_then(|topic| check_topic(&topic, self.reading.types()).map(|()| topic));
        if let Some(topic) = self.noted(checked) {
            self.filters.topics.insert(topic);
        }
        self
    }

    /// Events that did this.
    pub fn action(mut self, action: Action) -> Self {
        self.filters.actions.insert(action);
        self
    }

    /// Events of this type, by its name now or an old one: `project_member.added`.
    pub fn event(mut self, event_type: impl fmt::Display) -> Self {
        let checked = check_event(&event_type.to_string(), self.reading.types());
        if let Some(event) = self.noted(checked) {
            self.filters.events.insert(event);
        }
        self
    }

    /// Events of this aggregate, without those of others that only name it: `project:7`.
    pub fn aggregate(self, aggregate: impl fmt::Display) -> Self {
        self.reference(aggregate, |filters| &mut filters.aggregates)
    }

    /// Events that belong together: to one request, import or commit.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.filters.correlations.insert(correlation.into());
        self
    }

    /// Events whose sentence, in the declaration's own words, or payload holds this text, in upper or lower case.
    ///
    /// Nothing is indexed for it: a page reads 1,000 of the events that the other filters let through, at most. It may
    /// come out short, or empty, with a cursor to go on.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        let checked = if text.is_empty() { Err(QueryError::NoText) } else { Ok(text.to_lowercase()) };
        if let Some(text) = self.noted(checked) {
            self.filters.texts.insert(text);
        }
        self
    }

    /// What was refused: see [`Action::Refuse`].
    pub fn refused(self) -> Self {
        self.action(Action::Refuse)
    }

    /// Events from here on, with the one here.
    pub fn from(mut self, bound: impl Into<RangeBound>) -> Self {
        self.from = Some(bound.into());
        self
    }

    /// Events up to here, without the one here.
    pub fn until(mut self, bound: impl Into<RangeBound>) -> Self {
        self.until = Some(bound.into());
        self
    }

    /// Events that happened at this time or later, whenever they were recorded.
    pub fn occurred_from(mut self, time: Timestamp) -> Self {
        self.occurred_from = Some(time);
        self
    }

    /// Events that happened before this time, whenever they were recorded.
    pub fn occurred_until(mut self, time: Timestamp) -> Self {
        self.occurred_until = Some(time);
        self
    }

    /// In the order in which they happened, where that is not the order in which they were recorded: after an import,
    /// say. What is recorded while somebody reads page after page, and happened before what was read, does not come.
    pub fn by_occurrence(mut self) -> Self {
        self.by_occurrence = true;
        self
    }

    /// The newest first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// The oldest first: so it is when nothing is said.
    pub fn oldest_first(mut self) -> Self {
        self.newest_first = false;
        self
    }

    /// At most so many rows: of a page, or of a whole stream.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Goes on after the row that the cursor stands for.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Waits until the audit log holds this write (a receipt), so that the answer does.
    pub fn after(mut self, write: impl Into<LogPosition>) -> Self {
        self.after = Some(write.into());
        self
    }

    /// How long [`after`](Self::after) waits at most: half a minute when nothing is said.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The clock that says when a followed range is over. It should be the store's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells somebody of the question before it is answered, who may refuse it; and of each further page of a stream.
    pub fn access(mut self, access: Arc<dyn AuditAccess>) -> Self {
        self.access = Some(access);
        self
    }

    /// The cursor of this query that goes on after `row`: for those who stop in the middle of a page or stream.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub fn cursor_after(&self, row: &AuditRow) -> Result<Cursor, AuditError> {
        let plan = self.clone().plan()?;
        Ok(plan.cursor(LogPosition { position: row.position, event_id: row.event_id }))
    }

    /// One page: [`limit`](Self::limit) rows, 50 when there is none, never more than 1,000.
    ///
    /// It takes a few statements, however long the log and whatever is asked. Where several filters each let many events
    /// through and few pass them all, some five thousand are looked at: the page may come out short, or empty, with a
    /// cursor to go on. Only a page without a cursor is the last.
    ///
    /// # Errors
    /// When the question cannot be answered, or the audit log or an event of the page cannot be read.
    pub async fn page(self) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        let mut snapshot = plan.reading.snapshot().await?;
        read_page(&plan, &mut place, &mut *snapshot, plan.page_rows()).await
    }

    /// One page, as of a moment that was taken before: other reads of `snapshot`, a snapshot of the audit log (of
    /// [`Reading::snapshot`]), see the same.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn page_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        read_page(&plan, &mut place, snapshot, plan.page_rows()).await
    }

    /// How many events there are, and by whom, of which action and type.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn count(self) -> Result<AuditCount, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        let mut snapshot = plan.reading.snapshot().await?;
        count(&plan, &mut place, &mut *snapshot).await
    }

    /// The same, as of a moment that was taken before.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn count_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<AuditCount, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        count(&plan, &mut place, snapshot).await
    }

    /// All rows up to the limit, page after page, as the log is when the first page is read. An error ends it.
    pub fn stream(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        follow::stored(self.plan())
    }

    /// What is stored, then what happens, each event once, in the order of the log. It ends at the limit, when
    /// nothing before the end of the range can come any more (a second after it, if that is a time), when it is
    /// dropped, and when the application is closed. An error ends it, too: among them, that the audit log stopped.
    pub fn follow(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        follow::live(self.live_plan())
    }

    /// The question, if what happens can come in its order.
    pub(super) fn live_plan(self) -> Result<Plan, QueryError> {
        match (self.newest_first, self.by_occurrence) {
            (true, _) => Err(QueryError::FollowNewestFirst),
            (_, true) => Err(QueryError::FollowByOccurrence),
            _ => self.plan(),
        }
    }

    /// The place in the log that an answer would be true at. Nothing is read, so nobody is told.
    #[cfg(feature = "export")]
    pub(crate) async fn head(&self) -> Result<LogPosition, AuditError> {
        let plan = Self { access: None, ..self.clone() }.plan()?;
        plan.begin().await?;
        Ok(plan.reading.snapshot().await?.head())
    }

    /// The same question, whose answer leaves.
    #[cfg(feature = "export")]
    pub(crate) fn exported_to(mut self, format: String, head: LogPosition) -> Self {
        self.export = Some(ExportTarget { format, head });
        self
    }

    /// What an export needs to know of it: how it is read, and its range.
    #[cfg(feature = "export")]
    pub(crate) fn parts(&self) -> (&Reading, Option<RangeBound>, Option<RangeBound>) {
        (&self.reading, self.from, self.until)
    }

    fn reference(
        mut self,
        reference: impl fmt::Display,
        filter: fn(&mut Filters) -> &mut std::collections::BTreeSet<Ref>,
    ) -> Self {
        let parsed = reference.to_string().parse::<Ref>().map_err(QueryError::from);
        if let Some(reference) = self.noted(parsed) {
            filter(&mut self.filters).insert(reference);
        }
        self
    }

    /// Keeps the first problem for when the question is asked.
    fn noted<T>(&mut self, result: Result<T, QueryError>) -> Option<T> {
        result.map_err(|problem| self.problem.get_or_insert(problem)).ok()
    }

    pub(super) fn plan(mut self) -> Result<Plan, QueryError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if self.limit == Some(0) {
            return Err(QueryError::NoLimit);
        }
        check_range(self.from, self.until)?;
        if let Some((filter, given)) = self.filters.too_many() {
            return Err(QueryError::TooMany { filter, given, most: MOST_VALUES });
        }
        self.filters.simplify();
        let occurred = self.occurred()?;
        let fingerprint = self.fingerprint();
        if self.cursor.is_some_and(|cursor| cursor.query() != fingerprint) {
            return Err(QueryError::OtherCursor);
        }
        let access = self.access.take().map(|access| (access, self.question()));
        Ok(Plan {
            access,
            reading: self.reading,
            filters: self.filters,
            from: self.from,
            until: self.until,
            occurred,
            by_occurrence: self.by_occurrence,
            newest_first: self.newest_first,
            limit: self.limit,
            cursor: self.cursor,
            after: self.after.map(|head| (head, self.patience)),
            clock: self.clock,
            fingerprint,
        })
    }
}

impl fmt::Debug for AuditQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditQuery")
            .field("filters", &self.filters)
            .field("from", &self.from)
            .field("until", &self.until)
            .field("newest_first", &self.newest_first)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
