//! [`App`]: registers commands, views and projections, and opens the application.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::access_log::{AccessControl, AccessLog, AccessLogEvent};
use super::handle::Parts;
use super::{Annals, Authorise, OpenError, Unsound, soundness};
use crate::aggregates::{Aggregate, AggregateType};
use crate::commands::{Command, CommandInfo, Handle, Registry, Scope, Services, SubjectRecord};
use crate::events::Types;
use crate::projections::audit::AuditLog;
use crate::projections::display_names::{DisplayNames, Names, Namings};
use crate::projections::metrics::Metrics;
use crate::projections::presenter::Locales;
use crate::projections::{DocumentView, Documents, Projection};
use crate::reactions::AnyReaction;
#[cfg(feature = "postgres")]
use crate::store::Takeover;
use crate::store::{Clock, OpenOptions, Store};

/// The parts of an application, before it is opened on a store.
///
/// Registering a command registers the aggregates in its scope and their events. The audit log and the metrics are built in.
pub struct App {
    pub(crate) name: &'static str,
    pub(super) registry: Registry,
    pub(super) aggregate_types: Vec<AggregateType>,
    pub(super) types: Types,
    pub(super) projections: Vec<Arc<dyn Projection>>,
    pub(super) reactions: Vec<Arc<dyn AnyReaction>>,
    #[cfg(feature = "feeds")]
    pub(super) feeds: super::feeds::DeclaredFeeds,
    pub(super) locales: Locales,
    pub(super) namings: Namings,
    pub(super) problems: Vec<String>,
    pub(super) clock: Clock,
    by_occurrence: bool,
    pub(super) services: Services,
    pub(super) access_control: AccessControl,
    /// Where the keys of personal values lie.
    #[cfg(feature = "personal")]
    pub(crate) keys: crate::personal::Keys,
    #[cfg(feature = "postgres")]
    pub(crate) takeover: Takeover,
    #[cfg(feature = "cli")]
    pub(crate) subcommands: Vec<super::CustomSubcommand>,
    /// Routes of the application, for `serve`.
    #[cfg(all(feature = "cli", feature = "http"))]
    pub(crate) routes: Vec<Routes>,
}

/// Creates routes of an open application.
#[cfg(all(feature = "cli", feature = "http"))]
pub(crate) type Routes = Box<dyn FnOnce(Annals) -> axum::Router + Send>;

impl App {
    /// Creates an application with this name. The store keeps the name, and the command line has it.
    pub fn new(name: &'static str) -> Self {
        let mut types = Types::default();
        // Even if it does not record reads now: its log may have such events.
        let added = types.add::<AccessLogEvent>(AccessLog::TYPE);
        Self {
            name,
            registry: Registry::default(),
            aggregate_types: Vec::new(),
            types,
            projections: Vec::new(),
            reactions: Vec::new(),
            #[cfg(feature = "feeds")]
            feeds: super::feeds::DeclaredFeeds::new(name),
            problems: added.err().iter().map(ToString::to_string).collect(),
            locales: Locales::default(),
            namings: Namings::default(),
            clock: Arc::new(Timestamp::now),
            by_occurrence: false,
            services: Services::default(),
            access_control: AccessControl::default(),
            #[cfg(feature = "personal")]
            keys: crate::personal::Keys::default(),
            #[cfg(feature = "postgres")]
            takeover: Takeover::default(),
            #[cfg(feature = "cli")]
            subcommands: Vec::new(),
            #[cfg(all(feature = "cli", feature = "http"))]
            routes: Vec::new(),
        }
    }

    /// Registers a command and the aggregates that it is decided on.
    #[must_use]
    pub fn command<C: Command + Handle>(mut self) -> Self {
        if let Err(other) = self.registry.add::<C>() {
            let this = std::any::type_name::<C>();
            self.problems.push(format!("two commands are called `{}`: {other} and {this}; rename one", C::NAME));
        }
        for kind in C::Scope::aggregate_types() {
            let aggregate_type = kind.name();
            if let Some(known) = self.aggregate_types.iter().find(|known| known.name() == aggregate_type) {
                let (known, this) = (known.0.rust_type(), kind.0.rust_type());
                if known != this {
                    self.problem(format!(
                        "two aggregates have the TYPE `{aggregate_type}`: {} and {}; change one",
                        known.1, this.1
                    ));
                }
                continue;
            }
            if aggregate_type.starts_with("annals_") && !kind.0.rust_type().1.starts_with("annals::") {
                self.problems.push(format!("the TYPE `{aggregate_type}` is reserved for annals: change it"));
            }
            if let Err(error) = kind.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(kind);
        }
        self.register_subjects();
        self
    }

    /// Whether it has personal values.
    pub(crate) fn has_personal(&self) -> bool {
        self.types.iter().any(|known| known.declaration.is_personal())
            || self.registry.list().any(|command| !command.personal.is_empty())
    }

    /// Registers the records of erasures, if the application has personal values.
    fn register_subjects(&mut self) {
        let record = AggregateType::for_aggregate::<SubjectRecord>();
        if self.has_personal() && !self.aggregate_types.iter().any(|known| known.name() == record.name()) {
            if let Err(error) = record.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(record);
        }
    }

    /// Adds a problem, unless it is already known.
    fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Registers a view: documents by key.
    #[must_use]
    pub fn view<V: DocumentView>(self) -> Self {
        self.projection(Documents::<V>::new())
    }

    /// Keeps the metrics also by when events occurred, not only by when they were recorded. An application that imports
    /// histories needs it: without it all that was imported happened in the minutes of the import. The page of such an
    /// application opens with this axis; queries ask for it with
    /// [`by_occurrence`](crate::projections::metrics::MetricQuery::by_occurrence).
    ///
    /// It has a cost, which is why it is declared: for each of its topics an event adds to a row for a minute, an hour, a day
    /// and 64 days; see decision 0056 for measurements. Declaring it rebuilds the metrics beside the old ones.
    #[must_use]
    pub fn metrics_by_occurrence(mut self) -> Self {
        self.by_occurrence = true;
        self
    }

    /// Registers another projection.
    #[must_use]
    pub fn projection(mut self, projection: impl Projection) -> Self {
        self.projections.push(Arc::new(projection));
        self
    }

    /// Sets the authoriser, which allows or denies commands and reads before anything is loaded: a function, or a type that
    /// implements [`Authorise`]. The last one wins.
    #[must_use]
    pub fn authorise(mut self, authoriser: impl Authorise) -> Self {
        self.access_control.authoriser = Some(Arc::new(authoriser));
        self
    }

    /// Gives a service to the application: to [`Handle::prepare`] and to the authoriser. The last one of a type wins, so a test
    /// replaces it: `app().service::<dyn Prices>(Arc::new(Fixed(7)))`. [`check`](Self::check) names services that are missing.
    #[must_use]
    pub fn service<T: ?Sized + Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.services = self.services.with(service);
        self
    }

    /// Sets how long [`Handle::prepare`] and the authoriser may take, each. Default: 10 seconds.
    #[must_use]
    pub fn service_time_limit(mut self, limit: Duration) -> Self {
        self.services.time_limit = limit;
        self
    }

    /// Records reads through [`Annals::read_as`] as events of the log, under the topic `annals/read`. A reader gets its answer
    /// when the record is queued; the record is durable moments later, and before [`Annals::close`] returns.
    #[must_use]
    pub fn record_reads(mut self) -> Self {
        self.access_control.reads = true;
        self
    }

    /// Records refused commands, and denied commands and reads, as events of the log, under the topic `annals/refusal` and
    /// with the action `refuse`. It delays no caller. Of one actor's denials in ten minutes at most 16 different ones are
    /// recorded singly; the others are counted by reason, as are refusals that come faster than they can be recorded. A
    /// process that is killed loses the counts of its last seconds.
    #[must_use]
    pub fn record_refusals(mut self) -> Self {
        self.access_control.refusals = true;
        self
    }

    /// Whether reads are recorded.
    #[cfg(feature = "cli")]
    pub(crate) fn records_reads(&self) -> bool {
        self.access_control.records_reads()
    }

    /// Whether there is an authoriser.
    #[cfg(feature = "cli")]
    pub(crate) fn has_authoriser(&self) -> bool {
        self.access_control.has_authoriser()
    }

    /// Whether a read needs an actor: reads are recorded, or there is an authoriser.
    #[cfg(feature = "cli")]
    pub(crate) fn reads_need_actor(&self) -> bool {
        self.access_control.reads_need_actor()
    }

    /// Adds a translation of the declared English sentences: a Fluent file, `include_str!("fr.ftl")`. Several files of one
    /// language are combined.
    ///
    /// The attribute `added` of the message `project_member` translates `project_member.added`, with the event's facts as
    /// arguments; `roles.from` is `$roles-from`. The message `nothing` is the text for a missing value, `field-roles` the name
    /// of a changed field `roles`. [`check`](Self::check) finds missing messages and unknown fields.
    #[cfg(feature = "translations")]
    #[must_use]
    pub fn locale(mut self, locale: &str, fluent: &str) -> Self {
        self.locales.add(locale, fluent);
        self
    }

    /// Adds routes of the application to those of `serve`, behind the same authentication and limits:
    /// [`RouterBuilder::with`](crate::http::RouterBuilder::with) has the details.
    #[cfg(all(feature = "cli", feature = "http"))]
    #[must_use]
    pub fn routes(mut self, routes: impl FnOnce(Annals) -> axum::Router + Send + 'static) -> Self {
        self.routes.push(Box::new(routes));
        self
    }

    /// Declares events that name things, so that sentences show display names.
    #[must_use]
    pub fn names<E: Names>(mut self) -> Self {
        self.namings.add::<E>();
        self
    }

    /// Sets the clock, in place of the machine's: for tests.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The commands, by name.
    pub fn commands(&self) -> impl Iterator<Item = &CommandInfo> {
        self.registry.list()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The event types.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Checks that the parts fit together: names are unique, ids are of their aggregate's kind, each view's events belong to a
    /// registered command's aggregate, and there is every service that is needed.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(&self) -> Result<(), Unsound> {
        soundness::check(self)
    }

    /// Opens the application on a store, which is created if it does not exist: `sqlite://job_server.db`, `sqlite::memory:`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(self, url: &str) -> Result<Annals, OpenError> {
        self.open_with(url, true, true).await
    }

    /// Opens the application as [`App::open`] does, but runs no projections in this process: for a process that only writes
    /// while another one runs the projections, and to rebuild a projection.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_without_following(self, url: &str) -> Result<Annals, OpenError> {
        self.open_with(url, true, false).await
    }

    /// Opens the application on an open store: one of another crate, or one with a wrapper. The store must have been opened
    /// for an application with this name.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_on(self, store: Arc<dyn Store>) -> Result<Annals, OpenError> {
        self.check()?;
        self.start(store, None, true).await
    }

    /// `create`: create the store if it does not exist. `follow`: run the projections in this process.
    pub(crate) async fn open_with(self, url: &str, create: bool, follow: bool) -> Result<Annals, OpenError> {
        self.check()?;
        let options = OpenOptions { app: self.name.to_owned(), clock: self.clock.clone(), create };
        let store = crate::store::open(url, options).await?;
        self.start(store, Some(url), follow).await
    }

    async fn start(self, store: Arc<dyn Store>, url: Option<&str>, follow: bool) -> Result<Annals, OpenError> {
        #[cfg(feature = "personal")]
        let eraser = match self.has_personal() {
            true => Some(super::personal::open(&self.keys, &store, url).await?),
            false => None,
        };
        #[cfg(feature = "personal")]
        let types = Arc::new(self.types.opened_with(super::personal::opening(eraser.as_ref())));
        #[cfg(not(feature = "personal"))]
        let (types, _) = (Arc::new(self.types), url);
        let metrics = Metrics::new(types.clone());
        let metrics = if self.by_occurrence { metrics.by_occurrence() } else { metrics };
        let mut projections: Vec<Arc<dyn Projection>> =
            vec![Arc::new(AuditLog::new(types.clone())), Arc::new(metrics)];
        if !self.namings.is_empty() {
            projections.push(Arc::new(DisplayNames::new(self.namings)));
        }
        projections.extend(super::projections::turned_on(&self.services, &types));
        projections.extend(self.projections);
        let Self {
            aggregate_types,
            registry,
            reactions,
            #[cfg(feature = "feeds")]
            feeds,
            locales,
            clock,
            by_occurrence,
            services,
            access_control,
            ..
        } = self;
        let registry = Arc::new(registry);
        let locales = locales.into();
        let parts = Parts {
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
            access_control,
            #[cfg(feature = "personal")]
            eraser,
        };
        Annals::start(store, parts, follow).await
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}
