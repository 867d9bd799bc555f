//! [`Reader`]: reads as an actor, with access control and records of reads.

use std::fmt;
use std::future::IntoFuture;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::access_log::{AccessControl, AccessError, AuditAccessControl, ExportAccess, LineageError, Read};
use super::authorise::Ask;
use super::following::{Depends, FollowedAsk, FollowedRead};
use super::{Annals, Denial};
use crate::aggregates::LoadError;
use crate::commands::Context;
use crate::events::{LogPosition, Ref, Stored};
use crate::projections::audit::{AuditLog, AuditQuery, Detail, RecordedFilters};
use crate::projections::metrics::{MetricError, MetricQuery, Metrics};
use crate::projections::{
    DocumentView, FollowEnd, FollowRight, JsonView, Listing, ReadError, ViewCounts, ViewKey, ViewList, ViewPage,
    ViewQuery,
};
use crate::store::Page;

/// Reads as the actor of a context: [`Annals::read_as`].
///
/// Each read asks the application's authoriser first. If the application [records reads](super::App::record_reads), the read
/// is an event in the log: one record for equal queries of one actor in ten minutes, for any number of pages and while it
/// is followed. Reads through [`Annals`] itself are not recorded.
#[derive(Clone)]
pub struct Reader {
    pub(super) annals: Annals,
    pub(super) access_control: Arc<AccessControl>,
    pub(super) context: Context,
}

/// An error when something is read as an actor.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The authoriser denied the read. Nothing was read.
    #[error("denied: {0}")]
    Denied(Denial),
    /// The read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state of an aggregate cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl From<AccessError> for ReaderError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Denied(denial) => Self::Denied(denial),
            AccessError::NotRecorded(error) => Self::Read(error.into()),
        }
    }
}

impl Reader {
    pub(super) fn new(annals: Annals, access_control: Arc<AccessControl>, context: Context) -> Self {
        Self { annals, access_control, context }
    }

    pub(super) fn parts(&self) -> (&Annals, &Arc<AccessControl>, &Context) {
        (&self.annals, &self.access_control, &self.context)
    }

    /// Queries one document of a view, as [`Annals::view`].
    pub fn view<V: DocumentView>(&self, key: &V::Key) -> ReadView<V> {
        ReadView { reader: self.clone(), query: self.annals.view::<V>(key), key: key.clone() }
    }

    /// Queries the documents of a view, as [`Annals::views`].
    pub fn views<V: DocumentView>(&self) -> ReadViews<V> {
        ReadViews { reader: self.clone(), list: self.annals.views::<V>() }
    }

    /// Queries a view as JSON, as [`Annals::json_view`]: the document under `key`, or all.
    ///
    /// # Errors
    /// When the authoriser denies it, or there is no such view.
    pub async fn json_view(&self, name: &str, key: Option<&str>) -> Result<JsonView, ReaderError> {
        let view = self.annals.json_view(name)?;
        // The authoriser and the record get the key, not one of its spellings.
        let key = key.map(|key| view.reading().parse_key(key)).transpose()?;
        self.ask_for_view(name, key.as_deref(), None).await?;
        Ok(view)
    }

    /// Queries the audit log, as [`Annals::audit`]. The authoriser is called, and the read recorded, when the query runs; a
    /// query that is followed calls it again with each page.
    pub fn audit(&self) -> AuditQuery {
        let access =
            AuditAccessControl { access_control: self.access_control.clone(), context: self.context.clone() };
        self.annals.audit().access(Arc::new(access))
    }

    /// Queries the metrics of a topic, as [`Annals::metric`]. The authoriser is called again if the query is
    /// [watched](MetricQuery::watch).
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub async fn metric(&self, topic: &str) -> Result<MetricQuery, ReaderError> {
        self.ask_for_metric(topic, false).await?;
        let (reader, of) = (self.clone(), topic.to_owned());
        let follow = move || {
            let (reader, topic) = (reader.clone(), of.clone());
            async move { reader.follow_metric(&topic).await.map_err(follow_error) }.boxed()
        };
        Ok(self.annals.metric(topic).follow_by(Arc::new(follow)))
    }

    /// Asks whether the metrics of a topic may be followed live. Returns the right to do that.
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub(crate) async fn follow_metric(&self, topic: &str) -> Result<FollowRight, ReaderError> {
        let asked = self.access_control.followed().now();
        let (what, of, depends) = self.ask_for_metric(topic, true).await?;
        let (access_control, context) = (self.access_control.clone(), self.context.clone());
        let ask = FollowedAsk::Metric { topic: topic.to_owned() };
        Ok(FollowedRead { access_control, context, ask, what, of }.watch(asked, depends))
    }

    async fn ask_for_metric(&self, topic: &str, follows: bool) -> Result<(String, Vec<Ref>, Depends), AccessError> {
        let of = vec![Ref::unchecked("projection", Metrics::NAME)];
        let what = format!("the metrics of `{topic}`");
        let asked = RecordedFilters::from([("topic".to_owned(), vec![topic.to_owned()])]);
        let read = Read { what: &what, of: &of, asked, export: None };
        let choices = [(&Ask::Metric { topic }, &read)];
        let (_, depends) = self.access_control.read_first(&self.context, &choices, true, follows).await?;
        Ok((what, of, depends))
    }

    /// Returns the access lineage of a thing, as [`Annals::lineage`].
    ///
    /// # Errors
    /// When the authoriser denies it, and as [`Annals::lineage`].
    pub async fn lineage(&self, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
        let (of, targets) = ([Ref::unchecked("projection", AuditLog::NAME), thing.clone()], [thing.clone()]);
        let ask = Ask::Audit { actors: &[], targets: &targets, topics: &[], detail: Detail::Full };
        let asked = RecordedFilters::from([("target".to_owned(), vec![thing.to_string()])]);
        let read = Read { what: &format!("who saw {thing}"), of: &of, asked, export: None };
        let allowed = self.access_control.read(&self.context, &ask, &read, true).await;
        allowed.map_err(|error| ReaderError::from(error.of("the lineage of exports")))?;
        self.annals.lineage(thing).await
    }

    /// Reads at most `limit` events after a position, as [`Annals::events`]. For the authoriser it is a query of the audit log
    /// without filters.
    ///
    /// # Errors
    /// When the authoriser denies it, or the store cannot be read.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page, ReaderError> {
        self.ask_for_log("the log", &[]).await?;
        Ok(self.annals.events(after, limit).await.map_err(ReadError::Store)?)
    }

    /// Reads at most `limit` events of an aggregate after a sequence, as [`Annals::history`]. For the authoriser it is a query
    /// of the audit log for that target.
    ///
    /// # Errors
    /// When the authoriser denies it, or the store cannot be read.
    pub async fn history(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, ReaderError> {
        self.ask_for_log(&format!("the log of {aggregate}"), std::slice::from_ref(aggregate)).await?;
        Ok(self.annals.history(aggregate, after, limit).await.map_err(ReadError::Store)?)
    }

    /// Asks whether the actor may operate the projections (one, or all), or verify the log. The operation itself goes through
    /// [`Annals`].
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub async fn operate(&self, operation: &str, projection: Option<&str>) -> Result<(), ReaderError> {
        let what = match projection {
            Some(projection) => format!("{operation} of the projection {projection}"),
            None => operation.to_owned(),
        };
        let of: Vec<Ref> = projection.and_then(|name| Ref::new("projection", name).ok()).into_iter().collect();
        // It shows no content of the log, so it is not recorded as a read.
        let ask = Ask::Operate { operation, projection };
        let read = Read { what: &what, of: &of, asked: RecordedFilters::new(), export: None };
        Ok(self.access_control.read(&self.context, &ask, &read, false).await?)
    }

    /// Asks whether the actor may read the catalogue: which commands, event types, topics and views the application has. The
    /// names themselves come from [`Annals`].
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub async fn catalogue(&self) -> Result<(), ReaderError> {
        // It shows no content of the log, so it is not recorded as a read.
        let read = Read { what: "the catalogue", of: &[], asked: RecordedFilters::new(), export: None };
        Ok(self.access_control.read(&self.context, &Ask::Catalogue, &read, false).await?)
    }

    /// Whether the actor may read this. A denial is not recorded.
    #[cfg(feature = "http")]
    pub(crate) async fn may(&self, ask: &Ask<'_>) -> bool {
        self.access_control.allows(&self.context, ask).await
    }

    /// Copies the log to a new file, as [`Annals::backup`]. For the authoriser it is an operation, and a query of the audit log
    /// without filters: the copy shows everything.
    ///
    /// # Errors
    /// When the authoriser denies one of them, and as [`Annals::backup`].
    pub async fn backup(
        &self,
        to: impl AsRef<Path>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), ReaderError> {
        self.operate("backup", None).await?;
        self.ask_for_log("a backup of the log", &[]).await?;
        Ok(self.annals.backup(to, progress).await.map_err(ReadError::Store)?)
    }

    async fn ask_for_log(&self, what: &str, targets: &[Ref]) -> Result<(), AccessError> {
        let ask = Ask::Audit { actors: &[], targets, topics: &[], detail: Detail::Full };
        let of: Vec<Ref> = targets.iter().filter(|target| target.check().is_ok()).cloned().collect();
        let asked: RecordedFilters = match targets {
            [] => RecordedFilters::new(),
            targets => [("aggregate".to_owned(), targets.iter().map(Ref::to_string).collect())].into(),
        };
        let read = Read { what, of: &of, asked, export: None };
        self.access_control.read(&self.context, &ask, &read, true).await.map_err(|error| error.of(what))
    }

    async fn ask_for_view(&self, view: &str, key: Option<&str>, named: Option<Ref>) -> Result<(), AccessError> {
        let what = match (key, &named) {
            (_, Some(thing)) => format!("{thing} in {view}"),
            (Some(key), None) => format!("{key} in {view}"),
            (None, None) => view.to_owned(),
        };
        // No event can be about a key that is not a valid reference.
        let of: Vec<Ref> =
            Ref::new("projection", view).into_iter().chain(named.filter(|thing| thing.check().is_ok())).collect();
        let asked = key.map(|key| ("key".to_owned(), vec![key.to_owned()])).into_iter().collect();
        let read = Read { what: &what, of: &of, asked, export: None };
        self.access_control.read(&self.context, &Ask::View { view, key }, &read, true).await
    }
}

fn follow_error(error: ReaderError) -> MetricError {
    match error {
        ReaderError::Denied(denial) => FollowEnd::Denied(denial.reason().to_owned()).into(),
        ReaderError::Read(error) => error.into(),
        ReaderError::Load(error) => ReadError::Invalid(error.to_string()).into(),
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("actor", self.context.actor()).finish_non_exhaustive()
    }
}

/// A query of one document as an actor; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ReadView<V: DocumentView> {
    pub(super) reader: Reader,
    pub(super) query: ViewQuery<V>,
    pub(super) key: V::Key,
}

impl<V: DocumentView> ReadView<V> {
    /// Waits until the view includes the log up to this position, such as a receipt's.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.query = self.query.after(place);
        self
    }

    /// Sets how long to wait for that.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.query = self.query.within(deadline);
        self
    }
}

impl<V: DocumentView> IntoFuture for ReadView<V> {
    type Output = Result<Option<V>, ReaderError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            self.reader.ask_for_view(V::NAME, Some(&self.key.key_text()), self.key.named()).await?;
            Ok(self.query.await?)
        }
        .boxed()
    }
}

/// A query of documents as an actor, by default in key order; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ReadViews<V: DocumentView> {
    reader: Reader,
    list: ViewList<V>,
}

impl<V: DocumentView> ReadViews<V> {
    /// Waits until the view includes the log up to this position, such as a receipt's.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.list = self.list.after(place);
        self
    }

    /// Sets how long to wait for that.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.list = self.list.within(deadline);
        self
    }

    /// Only the documents of this listing: its conditions, order, limit and cursor.
    pub fn listing(mut self, listing: Listing) -> Self {
        self.list = self.list.listing(listing);
        self
    }

    /// Counts the documents, as [`ViewList::count`].
    ///
    /// # Errors
    /// When the authoriser denies it, or the view cannot be read.
    pub async fn count(self) -> Result<ViewCounts, ReaderError> {
        self.reader.ask_for_view(V::NAME, None, None).await?;
        Ok(self.list.count().await?)
    }

    /// Counts the documents with each value of a field, as [`ViewList::count_by`].
    ///
    /// # Errors
    /// When the authoriser denies it, or the view cannot be read.
    pub async fn count_by(self, field: &str) -> Result<ViewCounts, ReaderError> {
        self.reader.ask_for_view(V::NAME, None, None).await?;
        Ok(self.list.count_by(field).await?)
    }

    /// Reads at most `limit` documents, after the key `from` if it is given, as [`ViewList::page`].
    ///
    /// # Errors
    /// When the authoriser denies it, or the view cannot be read.
    pub async fn page(self, limit: usize, from: Option<&V::Key>) -> Result<ViewPage<V::Key, V>, ReaderError> {
        self.reader.ask_for_view(V::NAME, None, None).await?;
        Ok(self.list.page(limit, from).await?)
    }
}

impl<V: DocumentView> IntoFuture for ReadViews<V> {
    type Output = Result<ViewPage<V::Key, V>, ReaderError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            self.reader.ask_for_view(V::NAME, None, None).await?;
            Ok(self.list.await?)
        }
        .boxed()
    }
}
