//! [`AuditQuery`]: the builder of questions to the audit log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::filters::{Filters, MOST_VALUES};
use super::page::{Plan, read_page};
use super::{AuditError, AuditPage, AuditRow, Cursor, follow};
use crate::events::{Action, Head, Ref, Topic};
use crate::projections::question::{PATIENCE, check_event, check_range, check_topic};
use crate::projections::{Bound, QueryError, Reading};
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
    filters: Filters,
    from: Option<Bound>,
    until: Option<Bound>,
    newest_first: bool,
    limit: Option<u64>,
    cursor: Option<Cursor>,
    after: Option<Head>,
    patience: Duration,
    clock: Clock,
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
            newest_first: false,
            limit: None,
            cursor: None,
            after: None,
            patience: PATIENCE,
            clock: Arc::new(Timestamp::now),
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

    /// Events from here on, with the one here.
    pub fn from(mut self, bound: impl Into<Bound>) -> Self {
        self.from = Some(bound.into());
        self
    }

    /// Events up to here, without the one here.
    pub fn until(mut self, bound: impl Into<Bound>) -> Self {
        self.until = Some(bound.into());
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
    pub fn after(mut self, write: impl Into<Head>) -> Self {
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

    /// The cursor of this query that goes on after `row`: for those who stop in the middle of a page or stream.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub fn cursor_after(&self, row: &AuditRow) -> Result<Cursor, AuditError> {
        let plan = self.clone().plan()?;
        Ok(plan.cursor(Head { position: row.position, event_id: row.event_id }))
    }

    /// One page: [`limit`](Self::limit) rows, 50 when there is none, never more than 1,000.
    ///
    /// # Errors
    /// When the question cannot be answered, or the audit log or an event of the page cannot be read.
    pub async fn page(self) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        let mut snapshot = plan.reading.snapshot().await?;
        read_page(&plan, &mut place, &mut *snapshot, plan.page_rows()).await
    }

    /// One page, as of a moment that was taken before: other reads of `snapshot`, a snapshot of the audit log, see
    /// the same.
    ///
    /// # Errors
    /// As for [`page`](Self::page).
    pub async fn page_in(self, snapshot: &mut dyn ViewSnapshot) -> Result<AuditPage, AuditError> {
        let plan = self.plan()?;
        let mut place = plan.begin().await?;
        read_page(&plan, &mut place, snapshot, plan.page_rows()).await
    }

    /// All rows up to the limit, page after page, as the log is when the first page is read. An error ends it.
    pub fn stream(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        follow::stored(self.plan())
    }

    /// What is stored, then what happens, each event once, in the order of the log. It ends at the limit, when
    /// nothing before the end of the range can come any more (a second after it, if that is a time), when it is
    /// dropped, and when the application is closed. An error ends it, too: among them, that the audit log stopped.
    pub fn follow(self) -> BoxStream<'static, Result<AuditRow, AuditError>> {
        let plan = match self.newest_first {
            true => Err(QueryError::FollowNewestFirst),
            false => self.plan(),
        };
        follow::live(plan)
    }

    /// What an export needs to know of it: how it is read, and its range.
    #[cfg(feature = "export")]
    pub(crate) fn parts(&self) -> (&Reading, Option<Bound>, Option<Bound>) {
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

    fn plan(mut self) -> Result<Plan, QueryError> {
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
        let fingerprint = self.fingerprint();
        if self.cursor.is_some_and(|cursor| cursor.query() != fingerprint) {
            return Err(QueryError::OtherCursor);
        }
        Ok(Plan {
            reading: self.reading,
            filters: self.filters,
            from: self.from,
            until: self.until,
            newest_first: self.newest_first,
            limit: self.limit,
            cursor: self.cursor,
            after: self.after.map(|head| (head, self.patience)),
            clock: self.clock,
            fingerprint,
        })
    }

    /// What makes it this question: all but limit, cursor and what it waits for.
    fn fingerprint(&self) -> [u8; 8] {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        for ((_, column), values) in self.filters.given() {
            part("filter");
            part(column);
            values.iter().filter_map(|value| value.text()).for_each(&mut part);
        }
        part(if self.newest_first { "newest" } else { "oldest" });
        for bound in [self.from, self.until] {
            part(&bound.map(|bound| bound.to_string()).unwrap_or_default());
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        [a, b, c, d, e, f, g, h]
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
