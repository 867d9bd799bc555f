//! [`App`]: the registration of commands, views and projections.

use std::sync::Arc;

use jiff::Timestamp;

use super::access_log::{AccessControl, AccessLog, AccessLogEvent};
use super::handle::Parts;
use super::{Annals, Authorise, Unsound, soundness};
use crate::aggregates::{Aggregate, AggregateType};
use crate::commands::{Command, CommandInfo, Handle, Registry, Scope};
use crate::events::Types;
use crate::projections::audit::AuditLog;
use crate::projections::metrics::Metrics;
use crate::projections::names::{DisplayNames, Names, Namings};
use crate::projections::presenter::Locales;
use crate::projections::{DocumentView, Documents, Projection};
use crate::store::{Clock, OpenOptions, Store, StoreError};

/// An application's parts: nothing is opened or written yet.
///
/// Registering a command registers the aggregates in its scope, and with them their events. The audit log and the
/// metrics are always there.
pub struct App {
    pub(crate) name: &'static str,
    pub(super) registry: Registry,
    pub(super) aggregate_types: Vec<AggregateType>,
    pub(super) types: Types,
    pub(super) projections: Vec<Arc<dyn Projection>>,
    pub(super) locales: Locales,
    pub(super) namings: Namings,
    pub(super) problems: Vec<String>,
    pub(super) clock: Clock,
    access_control: AccessControl,
    #[cfg(feature = "cli")]
    pub(crate) subcommands: Vec<crate::cli::Subcommand>,
}

/// Why an application could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its parts do not fit together.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its projections cannot be started.
    #[error("the projections could not be started")]
    Projections(#[source] crate::BoxError),
}

impl App {
    /// An application of this name: the store keeps it, and the command line goes by it.
    pub fn new(name: &'static str) -> Self {
        let mut types = Types::default();
        // Whether it records them or not: they may lie in its log.
        let added = types.add::<AccessLogEvent>(AccessLog::TYPE);
        Self {
            name,
            registry: Registry::default(),
            aggregate_types: Vec::new(),
            types,
            projections: Vec::new(),
            problems: added.err().iter().map(ToString::to_string).collect(),
            locales: Locales::default(),
            namings: Namings::default(),
            clock: Arc::new(Timestamp::now),
            access_control: AccessControl::default(),
            #[cfg(feature = "cli")]
            subcommands: Vec::new(),
        }
    }

    /// Adds a command, with the aggregates that it is decided on.
    #[must_use]
    pub fn command<C: Command + Handle>(mut self) -> Self {
        if let Err(other) = self.registry.add::<C>() {
            let this = std::any::type_name::<C>();
            self.problems.push(format!("two commands are called `{}`: {other} and {this}", C::NAME));
        }
        for kind in C::Scope::aggregate_types() {
            let aggregate_type = kind.name();
            if let Some(known) = self.aggregate_types.iter().find(|known| known.name() == aggregate_type) {
                let (known, this) = (known.0.rust_type(), kind.0.rust_type());
                if known != this {
                    self.problem(format!(
                        "two aggregates have the TYPE `{aggregate_type}`: {} and {}: give one of them another",
                        known.1, this.1
                    ));
                }
                continue;
            }
            if aggregate_type == AccessLog::TYPE {
                self.problems.push(format!("`{aggregate_type}` is an aggregate of this crate's own: rename yours"));
            }
            if let Err(error) = kind.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(kind);
        }
        self
    }

    /// Notes what is wrong, once.
    fn problem(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds a view: documents by key.
    #[must_use]
    pub fn view<V: DocumentView>(self) -> Self {
        self.projection(Documents::<V>::new())
    }

    /// Adds a projection of the application's own.
    #[must_use]
    pub fn projection(mut self, projection: impl Projection) -> Self {
        self.projections.push(Arc::new(projection));
        self
    }

    /// Has this decide who may do and read what, before anything is loaded: a function, or what implements
    /// [`Authorise`]. The last one counts.
    #[must_use]
    pub fn authorise(mut self, authoriser: impl Authorise) -> Self {
        self.access_control.authoriser = Some(Arc::new(authoriser));
        self
    }

    /// Records who reads what, where it is read as somebody ([`Annals::read_as`]): as events of the log, under the topic
    /// `annals/read`. A reader gets its answer when the record is queued; it is durable moments later, and before
    /// [`Annals::close`] returns.
    #[must_use]
    pub fn record_reads(mut self) -> Self {
        self.access_control.reads = true;
        self
    }

    /// Records refused commands, and denied commands and reads: as events of the log, under the topic `annals/refusal`
    /// and with the action `refuse`. Nobody waits for it. Of the denials of one actor in ten minutes at most 16 different
    /// ones are recorded one by one; the others are counted by reason, as are refusals that come faster than they can be
    /// recorded. A process that is killed loses the counts of its last seconds.
    #[must_use]
    pub fn record_refusals(mut self) -> Self {
        self.access_control.refusals = true;
        self
    }

    /// Whether it matters who reads.
    #[cfg(feature = "cli")]
    pub(crate) fn reads_need_actor(&self) -> bool {
        self.access_control.reads_need_actor()
    }

    /// Ships a language besides English, which the events declare: a Fluent file, `include_str!("fr.ftl")`. Several files
    /// of one language add up.
    ///
    /// `project_member.added` is told by the attribute `added` of the message `project_member`, with the event's facts as
    /// arguments; `roles.from` is `$roles-from`. `nothing` is the word for what is not there, `field-roles` what a changed
    /// field `roles` is called. Whatever is missing or names no field is found by [`check`](Self::check).
    #[cfg(feature = "translations")]
    #[must_use]
    pub fn locale(mut self, locale: &str, fluent: &str) -> Self {
        self.locales.add(locale, fluent);
        self
    }

    /// Says that these events name things, so that sentences call them by their names.
    #[must_use]
    pub fn names<E: Names>(mut self) -> Self {
        self.namings.add::<E>();
        self
    }

    /// Tells the time in place of the machine's clock: for tests.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Its commands, by name.
    pub fn commands(&self) -> impl Iterator<Item = &CommandInfo> {
        self.registry.list()
    }

    #[cfg(feature = "cli")]
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Its event types.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Whether its parts fit together: no name twice, every id of its aggregate's kind, every view fed by events that
    /// some command can bring about.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn check(&self) -> Result<(), Unsound> {
        soundness::check(self)
    }

    /// Opens it on a store, which is made if it is not there: `sqlite://job_server.db`, `sqlite::memory:`.
    ///
    /// # Errors
    /// When its parts do not fit together, or the store cannot be opened.
    pub async fn open(self, url: &str) -> Result<Annals, OpenError> {
        self.open_with(url, true, true).await
    }

    /// The same, but no projection follows the log in this process: for one that only writes, while another follows;
    /// and to rebuild a projection on its own.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn open_without_following(self, url: &str) -> Result<Annals, OpenError> {
        self.open_with(url, true, false).await
    }

    /// Makes a store of a database that postgres-es made: see [`crate::store::migrate`].
    ///
    /// # Errors
    /// When there is none, a row of it cannot be taken over, or the database says no.
    #[cfg(feature = "postgres")]
    pub async fn migrate(self, url: &str) -> Result<crate::store::Migrated, OpenError> {
        self.check()?;
        let options = OpenOptions { app: self.name.to_owned(), clock: self.clock.clone(), create: true };
        Ok(crate::store::migrate(url, options).await?)
    }

    /// Opens it on a store that is open already: one of another crate, or one wrapped in a layer of its own. The store
    /// must have been opened for an application of this name.
    ///
    /// # Errors
    /// When its parts do not fit together, or its projections cannot be started.
    pub async fn open_on(self, store: Arc<dyn Store>) -> Result<Annals, OpenError> {
        self.check()?;
        self.start(store, true).await
    }

    /// Makes a store on PostgreSQL, or brings its schema to this version, as its owner: see [`crate::store::upgrade`].
    #[cfg(all(feature = "postgres", feature = "cli"))]
    pub(crate) async fn upgrade(&self, url: &str) -> Result<Option<crate::store::Upgraded>, OpenError> {
        self.check()?;
        let options = OpenOptions { app: self.name.to_owned(), clock: self.clock.clone(), create: true };
        Ok(crate::store::upgrade(url, options).await?)
    }

    /// `create`: make the store if it is not there. `follow`: keep the projections up with the log.
    pub(crate) async fn open_with(self, url: &str, create: bool, follow: bool) -> Result<Annals, OpenError> {
        self.check()?;
        let options = OpenOptions { app: self.name.to_owned(), clock: self.clock.clone(), create };
        let store = crate::store::open(url, options).await?;
        self.start(store, follow).await
    }

    async fn start(self, store: Arc<dyn Store>, follow: bool) -> Result<Annals, OpenError> {
        let types = Arc::new(self.types);
        let mut projections: Vec<Arc<dyn Projection>> =
            vec![Arc::new(AuditLog::new(types.clone())), Arc::new(Metrics::new(types.clone()))];
        if !self.namings.is_empty() {
            projections.push(Arc::new(DisplayNames::new(self.namings)));
        }
        projections.extend(self.projections);
        let Self { aggregate_types, registry, locales, clock, access_control, .. } = self;
        let registry = Arc::new(registry);
        let parts =
            Parts { types, aggregate_types, registry, projections, locales: locales.into(), clock, access_control };
        Annals::start(store, parts, follow).await
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("name", &self.name).finish_non_exhaustive()
    }
}
