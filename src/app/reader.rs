//! [`Reader`]: reading as somebody, who may be denied it and of whom it is recorded.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::access_log::{AccessControl, AuditAccessControl, ExportAccess, LineageError, Read, Refused};
use super::authorise::Ask;
use super::{Annals, Denial};
use crate::commands::Context;
use crate::events::{LogPosition, Ref, Stored};
use crate::projections::audit::{AskedFor, AuditLog, AuditQuery};
use crate::projections::metrics::{MetricQuery, Metrics};
use crate::projections::{DocumentView, JsonView, ReadError, ViewKey, ViewList, ViewPage, ViewQuery};
use crate::store::{Page, StoreError};

/// Reads as the actor of a context: [`Annals::read_as`].
///
/// The application's authoriser is asked first. Where the application [records reads](super::App::record_reads), a read is
/// an event in the log: one record for the same question of the same actor in ten minutes, however many pages it has and
/// as long as it is followed. What is read through [`Annals`] itself is the program's own business, and not recorded.
#[derive(Clone)]
pub struct Reader {
    annals: Annals,
    access_control: Arc<AccessControl>,
    context: Context,
}

/// A read did not take place.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The authoriser did not let it in. Nothing was read.
    #[error("denied: {0}")]
    Denied(Denial),
    /// What was asked for cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Refused> for ReaderError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied(denial) => Self::Denied(denial),
            Refused::Closed => Self::Read(StoreError::Closed.into()),
        }
    }
}

impl Reader {
    pub(super) fn new(annals: Annals, access_control: Arc<AccessControl>, context: Context) -> Self {
        Self { annals, access_control, context }
    }

    /// One document of a view, as [`Annals::view`].
    pub fn view<V: DocumentView>(&self, key: &V::Key) -> ReadView<V> {
        ReadView { reader: self.clone(), query: self.annals.view::<V>(key), key: key.clone() }
    }

    /// The documents of a view, as [`Annals::views`].
    pub fn views<V: DocumentView>(&self) -> ReadViews<V> {
        ReadViews { reader: self.clone(), list: self.annals.views::<V>() }
    }

    /// A view as plain JSON, as [`Annals::json_view`]: to read the document under `key`, or if there is none, all.
    ///
    /// # Errors
    /// When the authoriser denies it, or there is no such view.
    pub async fn json_view(&self, name: &str, key: Option<&str>) -> Result<JsonView, ReaderError> {
        let view = self.annals.json_view(name)?;
        self.ask_for_view(name, key, None).await?;
        Ok(view)
    }

    /// The audit log, as [`Annals::audit`]. The authoriser is asked, and the read recorded, when the query is run; one
    /// that is followed is asked about again with each page that comes.
    pub fn audit(&self) -> AuditQuery {
        let access =
            AuditAccessControl { access_control: self.access_control.clone(), context: self.context.clone() };
        self.annals.audit().access(Arc::new(access))
    }

    /// The numbers of a topic, as [`Annals::metric`].
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub async fn metric(&self, topic: &str) -> Result<MetricQuery, ReaderError> {
        let of = [Ref::unchecked("projection", Metrics::NAME)];
        let what = format!("the numbers of `{topic}`");
        let asked = AskedFor::from([("topic".to_owned(), vec![topic.to_owned()])]);
        let read = Read { what: &what, of: &of, asked, export: None };
        self.access_control.read(&self.context, &Ask::Metric { topic }, &read, true).await?;
        Ok(self.annals.metric(topic))
    }

    /// Who saw this thing before it left, as [`Annals::lineage`].
    ///
    /// # Errors
    /// When the authoriser denies it, and as [`Annals::lineage`].
    pub async fn lineage(&self, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
        let (of, targets) = ([Ref::unchecked("projection", AuditLog::NAME), thing.clone()], [thing.clone()]);
        let ask = Ask::Audit { actors: &[], targets: &targets, topics: &[] };
        let asked = AskedFor::from([("target".to_owned(), vec![thing.to_string()])]);
        let read = Read { what: &format!("who saw {thing}"), of: &of, asked, export: None };
        self.access_control.read(&self.context, &ask, &read, true).await.map_err(ReaderError::from)?;
        self.annals.lineage(thing).await
    }

    /// At most `limit` events after a position, as they lie in the log: as [`Annals::events`]. It is asked about as the
    /// audit log without a filter.
    ///
    /// # Errors
    /// When the authoriser denies it, or the store cannot be read.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page, ReaderError> {
        self.ask_for_log("the log", &[]).await?;
        Ok(self.annals.events(after, limit).await.map_err(ReadError::Store)?)
    }

    /// At most `limit` events of one aggregate after a sequence: as [`Annals::history`]. It is asked about as the audit log
    /// of that target.
    ///
    /// # Errors
    /// When the authoriser denies it, or the store cannot be read.
    pub async fn history(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, ReaderError> {
        self.ask_for_log(&format!("the log of {aggregate}"), std::slice::from_ref(aggregate)).await?;
        Ok(self.annals.history(aggregate, after, limit).await.map_err(ReadError::Store)?)
    }

    /// Whether the actor may look after the projections (one, or all), or verify the log. What it then does, it does
    /// through [`Annals`].
    ///
    /// # Errors
    /// When the authoriser denies it.
    pub async fn operate(&self, operation: &str, projection: Option<&str>) -> Result<(), ReaderError> {
        let what = match projection {
            Some(projection) => format!("{operation} of the projection {projection}"),
            None => operation.to_owned(),
        };
        let of: Vec<Ref> = projection.and_then(|name| Ref::new("projection", name).ok()).into_iter().collect();
        // It shows nothing of what is in the log: no read.
        let ask = Ask::Operate { operation, projection };
        let read = Read { what: &what, of: &of, asked: AskedFor::new(), export: None };
        Ok(self.access_control.read(&self.context, &ask, &read, false).await?)
    }

    async fn ask_for_log(&self, what: &str, targets: &[Ref]) -> Result<(), Refused> {
        let ask = Ask::Audit { actors: &[], targets, topics: &[] };
        let of: Vec<Ref> = targets.iter().filter(|target| target.check().is_ok()).cloned().collect();
        let asked: AskedFor = match targets {
            [] => AskedFor::new(),
            targets => [("aggregate".to_owned(), targets.iter().map(Ref::to_string).collect())].into(),
        };
        let read = Read { what, of: &of, asked, export: None };
        self.access_control.read(&self.context, &ask, &read, true).await
    }

    async fn ask_for_view(&self, view: &str, key: Option<&str>, named: Option<Ref>) -> Result<(), Refused> {
        let what = match (key, &named) {
            (_, Some(thing)) => format!("{thing} in {view}"),
            (Some(key), None) => format!("{key} in {view}"),
            (None, None) => view.to_owned(),
        };
        // A key that no event can name is none that an event could be about.
        let of: Vec<Ref> =
            Ref::new("projection", view).into_iter().chain(named.filter(|thing| thing.check().is_ok())).collect();
        let asked = key.map(|key| ("key".to_owned(), vec![key.to_owned()])).into_iter().collect();
        let read = Read { what: &what, of: &of, asked, export: None };
        self.access_control.read(&self.context, &Ask::View { view, key }, &read, true).await
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("actor", self.context.actor()).finish_non_exhaustive()
    }
}

/// Asks for one document, as somebody; await it.
#[must_use = "a query does nothing until it is awaited"]
#[derive(Debug)]
pub struct ReadView<V: DocumentView> {
    reader: Reader,
    query: ViewQuery<V>,
    key: V::Key,
}

impl<V: DocumentView> ReadView<V> {
    /// The answer holds everything up to here: a receipt's write, above all.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.query = self.query.after(place);
        self
    }

    /// How long to wait for that.
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

/// Asks for documents in the order of their keys, as somebody.
#[must_use = "ask for a page"]
#[derive(Debug)]
pub struct ReadViews<V: DocumentView> {
    reader: Reader,
    list: ViewList<V>,
}

impl<V: DocumentView> ReadViews<V> {
    /// The answer holds everything up to here: a receipt's write, above all.
    pub fn after(mut self, place: impl Into<LogPosition>) -> Self {
        self.list = self.list.after(place);
        self
    }

    /// How long to wait for that.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.list = self.list.within(deadline);
        self
    }

    /// At most `limit` documents, those after the key `from` if there is one: as [`ViewList::page`].
    ///
    /// # Errors
    /// When the authoriser denies it, or the view cannot be read.
    pub async fn page(self, limit: usize, from: Option<&V::Key>) -> Result<ViewPage<V::Key, V>, ReaderError> {
        self.reader.ask_for_view(V::NAME, None, None).await?;
        Ok(self.list.page(limit, from).await?)
    }
}
