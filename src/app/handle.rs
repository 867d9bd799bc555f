//! [`Annals`]: an application that is open.

use std::path::Path;
use std::sync::Arc;

use futures::Stream;

use super::access_log::{self, AccessControl, ExportAccess, LineageError};
use super::{OpenError, Reader};
use crate::aggregates::Kind;
use crate::commands::{
    Command, CommandAccess, CommandInfo, Context, Engine, Envelope, ExecuteError, Handle, ParseError, Refusal,
    Registry, execute_all,
};
use crate::events::{Ref, Stored, Types};
use crate::projections::audit::{AuditLog, AuditQuery};
use crate::projections::metrics::{MetricQuery, Metrics};
use crate::projections::names::DisplayNames;
use crate::projections::presenter::{Locales, Presenter};
use crate::projections::{
    DeadLetter, DocumentView, JsonView, Projection, ProjectionStatus, Projections, ReadError, Reading, Rebuild,
    RebuildError, RepairError, Selection, SkipPolicy, UnusedVersion, ViewList, ViewQuery,
};
use crate::store::{Clock, Interest, Page, Receipt, Store, StoreError};

/// An application, open on a store. Cheap to clone; all clones share one writer and one set of projections.
#[derive(Clone)]
pub struct Annals(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    types: Arc<Types>,
    aggregate_types: Vec<AggregateType>,
    registry: Arc<Registry>,
    engine: Arc<Engine>,
    access_control: Arc<AccessControl>,
    projections: Projections,
    audit: Reading,
    metrics: Reading,
    presenter: Presenter,
    clock: Clock,
}

/// What an application is made of.
pub(super) struct Parts {
    pub(super) types: Arc<Types>,
    pub(super) aggregate_types: Vec<AggregateType>,
    pub(super) registry: Arc<Registry>,
    pub(super) projections: Vec<Arc<dyn Projection>>,
    pub(super) locales: Arc<Locales>,
    pub(super) clock: Clock,
    pub(super) access_control: AccessControl,
}

impl Annals {
    /// `follow`: keep the projections up with the log.
    pub(super) async fn start(store: Arc<dyn Store>, parts: Parts, follow: bool) -> Result<Self, OpenError> {
        let Parts { types, aggregate_types, registry, projections, locales, clock, mut access_control } = parts;
        let receiver = access_control.prepare(&clock);
        let access_control = Arc::new(access_control);
        let access = access_control.checks_commands().then(|| access_control.clone() as Arc<dyn CommandAccess>);
        let engine = Arc::new(Engine::start(store.clone(), clock.clone(), access, registry.clone()));
        access_control.start(receiver, &engine);
        let projections = Projections::start(store.clone(), types.clone(), projections, follow)
            .await
            .map_err(|error| OpenError::Projections(Box::new(error)))?;
        let reading = |name| projections.reading(name).map_err(|error| OpenError::Projections(Box::new(error)));
        let (audit, metrics) = (reading(AuditLog::NAME)?, reading(Metrics::NAME)?);
        // There are names only where the application says which events name things.
        let names = projections.reading(DisplayNames::NAME).ok();
        let presenter = Presenter::new(types.clone(), store.clone(), locales, names);
        Ok(Self(Arc::new(Inner {
            store,
            types,
            aggregate_types,
            registry,
            engine,
            access_control,
            projections,
            audit,
            metrics,
            presenter,
            clock,
        })))
    }

    /// Executes a command and answers once its events are durable.
    ///
    /// # Errors
    /// The command's own refusal, typed, and all that can keep a command from being executed: see [`ExecuteError`].
    pub async fn execute<C: Command + Handle>(
        &self,
        command: C,
        context: &Context,
    ) -> Result<Receipt, ExecuteError<C::Error>> {
        self.0.engine.execute(Box::new(command), context).await.map_err(ExecuteError::typed)
    }

    /// Executes a command that is known only by its name and its body, a JSON text.
    ///
    /// # Errors
    /// When there is no such command or the body is not one; and as [`Annals::execute`].
    pub async fn execute_json(
        &self,
        name: &str,
        body: &str,
        context: &Context,
    ) -> Result<Result<Receipt, ExecuteError<Refusal>>, ParseError> {
        let command = self.0.registry.parse(name, body)?;
        Ok(self.0.engine.execute(command, context).await)
    }

    /// The same of a body that was read as JSON before. What is wrong with it is said at once.
    #[cfg(feature = "http")]
    pub(crate) fn execute_read<'a>(
        &'a self,
        name: &str,
        body: &str,
        read: &serde_json::Value,
        context: &'a Context,
    ) -> Result<impl Future<Output = Result<Receipt, ExecuteError<Refusal>>> + Send + use<'a>, ParseError> {
        let command = self.0.registry.parse_read(name, body, read)?;
        Ok(self.0.engine.execute(command, context))
    }

    /// Executes commands in the order in which they come, up to `window` of them at a time, and answers in the same
    /// order. The log has them in that order too: each is decided on what follows from the ones before. A refusal, or
    /// any other error, concerns its own command alone; who wants to stop there drops the stream.
    pub fn execute_all<S>(
        &self,
        commands: S,
        window: usize,
    ) -> impl Stream<Item = Result<Receipt, ExecuteError<Refusal>>> + use<S>
    where
        S: Stream<Item = Envelope> + Unpin,
    {
        execute_all(self.0.engine.clone(), commands, window)
    }

    /// Reads as the context's actor, who may be denied it, and of whom it is recorded where the application wants that:
    /// `annals.read_as(&Context::by(alice)).view::<Roster>(&project).await?`.
    #[must_use]
    pub fn read_as(&self, context: &Context) -> Reader {
        Reader::new(self.clone(), self.0.access_control.clone(), context.clone())
    }

    /// Numbers of the write path.
    #[cfg(feature = "http")]
    pub(crate) fn write_metrics(&self) -> &crate::store::WriteMetrics {
        self.0.engine.write_metrics()
    }

    /// Whether commands are still executed.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        self.0.engine.is_open()
    }

    /// What the application's clock says.
    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.0.clock)()
    }

    /// Whether it matters who reads.
    #[cfg(feature = "http")]
    pub(crate) fn reads_need_actor(&self) -> bool {
        self.0.access_control.reads_need_actor()
    }

    /// One document of a view: `annals.view::<Roster>(&project).after(&receipt).await?`.
    pub fn view<V: DocumentView>(&self, key: &V::Key) -> ViewQuery<V> {
        ViewQuery::new(self.reading(V::NAME), key)
    }

    /// The documents of a view, in the order of their keys.
    pub fn views<V: DocumentView>(&self) -> ViewList<V> {
        ViewList::new(self.reading(V::NAME))
    }

    /// The documents of a view as plain JSON, by the view's name.
    ///
    /// # Errors
    /// When there is no such view.
    pub fn json_view(&self, name: &str) -> Result<JsonView, ReadError> {
        JsonView::new(self.reading(name)?)
    }

    /// The audit log: who did what, when, to what.
    pub fn audit(&self) -> AuditQuery {
        AuditQuery::new(self.0.audit.clone()).clock(self.0.clock.clone())
    }

    /// The numbers of a topic and everything below it.
    pub fn metric(&self, topic: &str) -> MetricQuery {
        MetricQuery::new(self.0.metrics.clone()).clock(self.0.clock.clone()).topic(topic)
    }

    /// Who saw this thing before it left: each recorded export that has something about it, the first first, with those
    /// who had read it by then. See [`ExportAccess`].
    ///
    /// Reads and exports are known only where the application [records](super::App::record_reads) them. To answer, all
    /// these records are read, and the events about the thing as far as need be.
    ///
    /// # Errors
    /// When the audit log or an event cannot be read.
    pub async fn lineage(&self, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
        access_log::lineage(self, thing).await
    }

    /// What events say to people: in English with names as they were known then, or as it is told.
    pub fn presenter(&self) -> Presenter {
        self.0.presenter.clone()
    }

    /// The views: those projections that keep documents by key.
    pub fn document_views(&self) -> impl Iterator<Item = Reading> {
        self.0.projections.readings().filter(Reading::documents)
    }

    /// How a projection is read: how far it is, and its tables as of one moment.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn reading(&self, projection: &str) -> Result<Reading, ReadError> {
        self.0.projections.reading(projection)
    }

    /// How far each projection is, and why it stopped if it did.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        self.0.projections.statuses().await
    }

    /// Makes a projection anew beside the live one, then switches: await it. Dropped before its end, it leaves the live
    /// one as it is; the next goes on from there.
    ///
    /// # Errors
    /// When there is none of this name, or this process rebuilds it. That another process does, or that events were left
    /// out of it, its end says.
    pub fn rebuild(&self, projection: &str) -> Result<Rebuild, RebuildError> {
        self.0.projections.rebuild(projection)
    }

    /// The same, saying what becomes of events that were left out of the live one.
    ///
    /// # Errors
    /// As [`Annals::rebuild`].
    pub fn rebuild_with(&self, projection: &str, skips: SkipPolicy) -> Result<Rebuild, RebuildError> {
        self.0.projections.rebuild_with(projection, skips)
    }

    /// Makes all projections anew, each as [`Annals::rebuild`] does, in one pass over the log; by name.
    pub fn rebuild_all(&self, skips: SkipPolicy) -> Vec<(String, Result<Rebuild, RebuildError>)> {
        self.0.projections.rebuild_all(skips)
    }

    /// Makes one key of a view anew, or all that the events of one type of aggregate touch: in place, in a transaction.
    ///
    /// # Errors
    /// As [`Annals::rebuild`]; and, at its end, when the projection keeps nothing by key, or no event touches it.
    pub fn rebuild_keys(&self, projection: &str, selection: Selection) -> Result<Rebuild, RebuildError> {
        self.0.projections.rebuild_keys(projection, selection)
    }

    /// Lets a stopped projection try again, whichever process runs it.
    ///
    /// # Errors
    /// When there is none of this name, or the store cannot be written.
    pub async fn resume(&self, projection: &str) -> Result<(), ReadError> {
        self.0.projections.resume(projection).await
    }

    /// Leaves out the event that a projection has stopped at, and lets it go on. A view keeps what it has under the event's
    /// keys as it is: later events of these keys queue behind it. In a projection without keys the event alone is left
    /// out. Answers what was left out.
    ///
    /// # Errors
    /// When it has not stopped, or not at an event: see [`RepairError`].
    pub async fn skip(&self, projection: &str) -> Result<Vec<DeadLetter>, RepairError> {
        self.0.projections.skip(projection).await
    }

    /// What a projection has left out, in the order of the events.
    ///
    /// # Errors
    /// When there is none of this name, or the store cannot be read.
    pub async fn dead_letters(&self, projection: &str) -> Result<Vec<DeadLetter>, ReadError> {
        self.0.projections.dead_letters(projection).await
    }

    /// Takes in what a projection has left out, in order: key by key; a projection without keys is made anew. Answers how
    /// many events that were.
    ///
    /// # Errors
    /// When an event fails still: it stays left out, with those of its key. See [`RepairError`].
    pub async fn replay(&self, projection: &str) -> Result<u64, RepairError> {
        self.0.projections.replay(projection).await
    }

    /// The versions of projections that neither this program nor any other that runs uses: what [`Annals::prune`] would
    /// drop.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unused(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        self.0.projections.unused().await
    }

    /// Drops the versions of projections that no program uses, and answers which: what an older program left behind. A
    /// program that comes back builds them anew.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn prune(&self) -> Result<Vec<UnusedVersion>, ReadError> {
        self.0.projections.prune().await
    }

    /// The aggregate types of its commands.
    pub(super) fn kinds(&self) -> &[AggregateType] {
        &self.0.aggregate_types
    }

    /// Copies the log to a new file, as of one moment; `progress` hears of pages done and of pages in all.
    ///
    /// # Errors
    /// When the file is there already or cannot be written.
    pub async fn backup(
        &self,
        to: impl AsRef<Path>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.0.store.backup(to.as_ref(), Box::new(progress)).await
    }

    /// At most `limit` events after a position, as they lie in the log.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        self.0.store.read(after, limit, &Interest::All).await
    }

    /// At most `limit` events of one aggregate after a sequence.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn history(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        self.0.store.load(aggregate, after, limit).await
    }

    /// The commands, by name.
    pub fn commands(&self) -> impl Iterator<Item = &CommandInfo> {
        self.0.registry.list()
    }

    /// The event types.
    #[must_use]
    pub fn types(&self) -> &Arc<Types> {
        &self.0.types
    }

    /// The store underneath: durability and place, the head of the log, reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Finishes what is under way, answers what was not sent "not executed", stops the projections and lets go of the
    /// store. Every clone is closed with it.
    pub async fn close(&self) {
        self.0.access_control.close().await;
        self.0.engine.close().await;
        self.0.projections.close().await;
        self.0.store.close().await;
    }
}

impl std::fmt::Debug for Annals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Annals").field(&self.0.store.describe()).finish()
    }
}
