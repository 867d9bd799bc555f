//! [`Annals`]: an open application.

use std::sync::Arc;

use futures::Stream;

use super::access_log::{self, AccessControl, ExportAccess, LineageError};
use super::following::FollowedReads;
use super::load::States;
use super::reactions::Reactions;
use super::{OpenError, ReadHandle, Reader, flows, log_rights, provenance};
use crate::aggregates::{AggregateType, Repository};
use crate::commands::{
    Command, CommandAccess, CommandInfo, Context, Engine, Envelope, ExecuteError, Handle, MetadataExtras,
    ParseError, Refusal, Registry, Services, execute_all,
};
use crate::events::{Ref, Stored, Types};
use crate::projections::display_names::DisplayNames;
use crate::projections::presenter::{Locales, Presenter};
use crate::projections::{Projection, Projections, ReadError, Reading};
use crate::reactions::AnyReaction;
use crate::store::{Clock, LogTime, Page, Receipt, Store, StoreError, read_history, read_page};

/// An application that is open on a store. Cheap to clone; all clones share one writer task and one set of projections.
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
    reactions: Reactions,
    #[cfg(feature = "feeds")]
    feeds: super::feeds::Feeds,
    #[cfg(feature = "personal")]
    eraser: Option<Arc<crate::personal::Eraser>>,
    read: Arc<ReadHandle>,
    presenter: Presenter,
    #[cfg(feature = "http")]
    clock: Clock,
    by_occurrence: bool,
}

/// The parts of an application.
pub(super) struct Parts {
    pub(super) types: Arc<Types>,
    pub(super) aggregate_types: Vec<AggregateType>,
    pub(super) registry: Arc<Registry>,
    pub(super) projections: Vec<Arc<dyn Projection>>,
    pub(super) reactions: Vec<Arc<dyn AnyReaction>>,
    #[cfg(feature = "feeds")]
    pub(super) feeds: super::feeds::DeclaredFeeds,
    pub(super) locales: Arc<Locales>,
    pub(super) clock: Clock,
    pub(super) by_occurrence: bool,
    pub(super) services: Services,
    pub(super) access_control: AccessControl,
    #[cfg(feature = "personal")]
    pub(super) eraser: Option<Arc<crate::personal::Eraser>>,
}

impl Annals {
    /// `follow`: run the projections in this process.
    pub(super) async fn start(store: Arc<dyn Store>, parts: Parts, follow: bool) -> Result<Self, OpenError> {
        let Parts {
            types,
            aggregate_types,
            registry,
            projections,
            reactions,
            #[cfg(feature = "feeds")]
            feeds,
            locales,
            clock,
            by_occurrence,
            services,
            mut access_control,
            #[cfg(feature = "personal")]
            eraser,
        } = parts;
        let failed = |error| OpenError::Projections(Box::new(error));
        access_control.check_store(&*store)?;
        if access_control.rights.is_none() {
            log_rights::check_none(&*store).await?;
        }
        let known = log_rights::known(&access_control);
        log_rights::check(&*store, known).await?;
        let projections = Projections::start(store.clone(), types.clone(), projections, follow)
            .await
            .map_err(|error| OpenError::Projections(Box::new(error)))?;
        #[cfg(feature = "proofs")]
        super::proofs::check_continues(&services, &projections).await?;
        let repository = Arc::new(Repository::new(store.clone()));
        let time = LogTime::new(clock.clone(), &*store);
        #[cfg(feature = "feeds")]
        let records = repository.clone();
        let states = States::new(repository.clone(), store.clone(), clock.clone());
        let read = ReadHandle::new(states, projections.clone(), clock.clone(), time.clone());
        let read = Arc::new(read.map_err(failed)?);
        let services = services.with(read.clone());
        access_control.services = services.clone();
        access_control.personal = types.has_keys();
        access_control.followed = Some(FollowedReads::new(store.clone(), types.clone(), time.clone()));
        log_rights::remember(&access_control, &store).await?;
        let receiver = access_control.prepare(&clock);
        let access_control = Arc::new(access_control);
        let access = access_control.checks_commands().then(|| access_control.clone() as Arc<dyn CommandAccess>);
        #[cfg(feature = "proofs")]
        let proofs = super::proofs::is_kept(&services);
        #[cfg(not(feature = "proofs"))]
        let proofs = false;
        let scope = proofs || provenance::is_kept(&services) || flows::is_kept(&services);
        let engine =
            Engine::start(store.clone(), time.clone(), access, known, registry.clone(), repository, services);
        #[cfg(feature = "personal")]
        let engine = engine.with_keys(super::personal::opening(eraser.as_ref()));
        let engine = Arc::new(engine.with_extras(MetadataExtras { scope, proofs }));
        #[cfg(feature = "personal")]
        super::personal::start(eraser.as_ref(), &engine);
        access_control.start(receiver, &engine);
        let reactions =
            Reactions::start(reactions, &engine, &registry, &projections, &store, &time, follow).await?;
        // There are display names only if the application declares events that name things.
        let names = projections.reading(DisplayNames::NAME).ok();
        let presenter = Presenter::new(types.clone(), store.clone(), locales, names);
        #[cfg(feature = "feeds")]
        let feeds = {
            let (repository, projections) = (&records, &projections);
            let (engine, presenter, store) = (&engine, &presenter, &store);
            let parts = super::feeds::FeedParts { engine, repository, projections, presenter, store, follow };
            super::feeds::Feeds::start(feeds, parts).await?
        };
        Ok(Self(Arc::new(Inner {
            store,
            types,
            aggregate_types,
            registry,
            engine,
            access_control,
            projections,
            reactions,
            #[cfg(feature = "feeds")]
            feeds,
            #[cfg(feature = "personal")]
            eraser,
            read,
            presenter,
            #[cfg(feature = "http")]
            clock,
            by_occurrence,
        })))
    }

    /// Executes a command, and returns once its events are durable.
    ///
    /// # Errors
    /// See [`ExecuteError`]; a refusal has the command's own error type.
    pub async fn execute<C: Command + Handle>(
        &self,
        command: C,
        context: &Context,
    ) -> Result<Receipt, ExecuteError<C::Error>> {
        self.0.engine.execute(Box::new(command), context).await.map_err(ExecuteError::typed)
    }

    /// Executes a command by its name and its JSON body. A mistake in the body is returned before the future, and nothing is
    /// executed: `annals.execute_json("add_member", body, &context)?.await?`.
    ///
    /// # Errors
    /// When there is no such command or the body does not match it. The future's errors are those of [`Annals::execute`].
    pub fn execute_json<'a>(
        &'a self,
        name: &str,
        body: &str,
        context: &'a Context,
    ) -> Result<impl Future<Output = Result<Receipt, ExecuteError<Refusal>>> + Send + use<'a>, ParseError> {
        let command = self.0.registry.parse(name, body)?;
        Ok(self.0.engine.execute(command, context))
    }

    /// Executes commands in input order, up to `window` at a time, and yields their results in the same order. The log has
    /// them in that order too: each command is decided on the states after the ones before it. A refusal or another error
    /// affects only its own command; drop the stream to stop.
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

    /// Returns a reader that reads as the context's actor: with access control, and recorded if the application records
    /// reads. `annals.read_as(&Context::by(alice)).view::<Roster>(&project).await?`.
    #[must_use]
    pub fn read_as(&self, context: &Context) -> Reader {
        Reader::new(self.clone(), self.0.access_control.clone(), context.clone())
    }

    /// Counters of the write path.
    #[cfg(feature = "http")]
    pub(crate) fn write_metrics(&self) -> &crate::store::WriteMetrics {
        self.0.engine.write_metrics()
    }

    /// Why requests cannot be served now, apart from the store.
    #[cfg(feature = "http")]
    pub(crate) fn unready(&self) -> Option<&'static str> {
        let closed = (!self.0.engine.is_open()).then_some("the store is closed: it executes no command");
        closed.or_else(|| self.0.access_control.unready())
    }

    /// The time of the application's clock.
    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> jiff::Timestamp {
        (self.0.clock)()
    }

    /// Whether there is an authoriser.
    #[cfg(feature = "http")]
    pub(crate) fn has_authoriser(&self) -> bool {
        self.0.access_control.has_authoriser()
    }

    pub(super) fn access_control(&self) -> &AccessControl {
        &self.0.access_control
    }

    /// Records that the context's actor was denied something, if the application records refusals.
    #[cfg(feature = "http")]
    pub(crate) fn record_denial(&self, context: &Context, what: &str, reason: &str) {
        self.0.access_control.denied(context, what, reason);
    }

    /// Whether a read needs an actor: reads are recorded, or there is an authoriser.
    #[cfg(feature = "http")]
    pub(crate) fn reads_need_actor(&self) -> bool {
        self.0.access_control.reads_need_actor()
    }

    /// Returns the half of this application that only reads, for code that must not execute commands.
    #[must_use]
    pub fn read_handle(&self) -> &ReadHandle {
        &self.0.read
    }

    /// Whether the application keeps metrics by when events occurred: see
    /// [`App::metrics_by_occurrence`](super::App::metrics_by_occurrence).
    #[must_use]
    pub fn has_metrics_by_occurrence(&self) -> bool {
        self.0.by_occurrence
    }

    /// Returns the access lineage of a thing: each recorded export that includes it, oldest first, with the actors who had
    /// read it before. See [`ExportAccess`].
    ///
    /// Reads and exports are known only if the application [records](super::App::record_reads) them. The query reads all
    /// these records, and the events about the thing as far as necessary.
    ///
    /// # Errors
    /// When the audit log or an event cannot be read.
    pub async fn lineage(&self, thing: &Ref) -> Result<Vec<ExportAccess>, LineageError> {
        access_log::lineage(self, thing).await
    }

    /// Returns a presenter, which renders events as sentences: by default in English, with display names as of the event.
    pub fn presenter(&self) -> Presenter {
        self.0.presenter.clone()
    }

    /// The document views among the projections.
    pub fn document_views(&self) -> impl Iterator<Item = Reading> {
        self.0.projections.readings().filter(Reading::documents)
    }

    /// Returns a handle to read a projection: its position and snapshots of its tables.
    ///
    /// # Errors
    /// When there is no projection with this name.
    pub fn reading(&self, projection: &str) -> Result<Reading, ReadError> {
        self.0.projections.reading(projection)
    }

    /// All projections.
    pub(super) fn all_projections(&self) -> &Projections {
        &self.0.projections
    }

    /// The reactions.
    pub(super) fn all_reactions(&self) -> &Reactions {
        &self.0.reactions
    }

    /// The feeds and intakes.
    #[cfg(feature = "feeds")]
    pub(super) fn all_feeds(&self) -> &super::feeds::Feeds {
        &self.0.feeds
    }

    /// What erases personal values, if the application has any.
    #[cfg(feature = "personal")]
    pub(super) fn eraser(&self) -> Option<&Arc<crate::personal::Eraser>> {
        self.0.eraser.as_ref()
    }

    /// The engine of the write path.
    pub(super) fn write_engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The aggregate types of the application's commands.
    pub(super) fn aggregate_types(&self) -> &[AggregateType] {
        &self.0.aggregate_types
    }

    /// Reads at most `limit` events after a position, as stored: about a megabyte of them. The page's `to` says where the next
    /// page begins.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        read_page(&*self.0.store, after, limit).await
    }

    /// Reads at most `limit` events of an aggregate after a sequence: about a megabyte of them, and at least one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn history(&self, aggregate: &Ref, after: u64, limit: usize) -> Result<Vec<Stored>, StoreError> {
        read_history(&*self.0.store, aggregate, after, limit).await
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

    #[cfg(test)]
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The underlying store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// Stops intakes, finishes the current batch, answers commands behind it [`ExecuteError::NotExecuted`], stops the projections and closes
    /// the store. All clones are closed with it.
    pub async fn close(&self) {
        #[cfg(feature = "feeds")]
        self.0.feeds.intakes.close().await;
        self.0.access_control.close().await;
        #[cfg(feature = "personal")]
        if let Some(eraser) = &self.0.eraser {
            eraser.end_tasks().await;
        }
        self.0.engine.close().await;
        // Commands that were on their way needed keys.
        #[cfg(feature = "personal")]
        if let Some(eraser) = &self.0.eraser {
            eraser.ring().store().close().await;
        }
        self.0.projections.close().await;
        self.0.reactions.closed().await;
        #[cfg(feature = "feeds")]
        self.0.feeds.closed().await;
        self.0.store.close().await;
    }
}

impl std::fmt::Debug for Annals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Annals").field(&self.0.store.describe()).finish()
    }
}
