//! [`ReadHandle`]: reads an open application, and executes nothing.

use std::fmt;
use std::sync::Arc;

use super::Annals;
use super::load::{Load, States};
use crate::aggregates::{Aggregate, LoadError, Loaded};
use crate::commands::{PrepareContext, Services, missing};
use crate::projections::audit::{AuditLog, AuditQuery};
use crate::projections::metrics::{MetricQuery, Metrics};
use crate::projections::{DocumentView, JsonView, Projections, ReadError, Reading, ViewList, ViewQuery};
use crate::store::{Clock, LogTime};

/// Reads an open application: aggregates, views, the audit log and metrics. It cannot execute a command, so `prepare` and the
/// authoriser get it. Its reads are the program's own: neither authorised nor recorded.
#[derive(Clone)]
pub struct ReadHandle {
    states: States,
    projections: Projections,
    audit: Reading,
    metrics: Reading,
    clock: Clock,
    time: LogTime,
}

impl ReadHandle {
    pub(super) fn new(
        states: States,
        projections: Projections,
        clock: Clock,
        time: LogTime,
    ) -> Result<Self, ReadError> {
        let (audit, metrics) = (projections.reading(AuditLog::NAME)?, projections.reading(Metrics::NAME)?);
        Ok(Self { states, projections, audit, metrics, clock, time })
    }

    /// Loads an aggregate, as [`Annals::load`](super::Annals::load).
    pub fn load<A: Aggregate>(&self, id: &A::Id) -> Load<A> {
        Load::new(&self.states, id)
    }

    /// Loads an aggregate without a copy of its state.
    pub(crate) async fn load_shared<A: Aggregate>(&self, id: &A::Id) -> Result<Arc<Loaded<A>>, LoadError> {
        self.states.load_shared(id).await
    }

    pub(super) fn states(&self) -> &States {
        &self.states
    }

    /// The time by which rights end: see [`AccessContext::time`](super::AccessContext::time).
    pub(crate) fn time(&self) -> jiff::Timestamp {
        self.time.now()
    }

    /// Queries one document of a view, as [`Annals::view`](super::Annals::view).
    pub fn view<V: DocumentView>(&self, key: &V::Key) -> ViewQuery<V> {
        ViewQuery::new(self.projections.reading(V::NAME), key).clock(self.clock.clone())
    }

    /// Queries the documents of a view, as [`Annals::views`](super::Annals::views).
    pub fn views<V: DocumentView>(&self) -> ViewList<V> {
        ViewList::new(self.projections.reading(V::NAME))
    }

    /// Queries the documents of a view as JSON, as [`Annals::json_view`](super::Annals::json_view).
    ///
    /// # Errors
    /// When there is no such view.
    pub fn json_view(&self, name: &str) -> Result<JsonView, ReadError> {
        Ok(JsonView::new(self.projections.reading(name)?)?.clock(self.clock.clone()))
    }

    /// Queries the audit log, as [`Annals::audit`](super::Annals::audit).
    pub fn audit(&self) -> AuditQuery {
        AuditQuery::new(self.audit.clone()).clock(self.clock.clone())
    }

    /// Queries the metrics of a topic, as [`Annals::metric`](super::Annals::metric).
    pub fn metric(&self, topic: &str) -> MetricQuery {
        MetricQuery::new(self.metrics.clone()).clock(self.clock.clone()).topic(topic)
    }
}

impl Annals {
    /// Loads an aggregate from the log: `annals.load::<Project>(&id).await?`. For a route or a rule of the application; a command
    /// gets the aggregates of its scope by itself.
    ///
    /// It includes every command that was answered before, of this process or another one, and nothing that is not yet durable.
    /// `annals.load::<Project>(&id).at(1234).await?` is the aggregate [as of](Load::at) a position of the log or a time.
    ///
    /// Awaited, it fails when the id is invalid, or its events cannot be read.
    pub fn load<A: Aggregate>(&self, id: &A::Id) -> Load<A> {
        self.read_handle().load(id)
    }

    /// Queries one document of a view: `annals.view::<Roster>(&project).after(&receipt).await?`.
    pub fn view<V: DocumentView>(&self, key: &V::Key) -> ViewQuery<V> {
        self.read_handle().view(key)
    }

    /// Queries the documents of a view, in key order.
    pub fn views<V: DocumentView>(&self) -> ViewList<V> {
        self.read_handle().views()
    }

    /// Queries the documents of a view as JSON, by the view's name.
    ///
    /// # Errors
    /// When there is no such view.
    pub fn json_view(&self, name: &str) -> Result<JsonView, ReadError> {
        self.read_handle().json_view(name)
    }

    /// Queries the audit log: who did what, when, to what.
    pub fn audit(&self) -> AuditQuery {
        self.read_handle().audit()
    }

    /// Queries the metrics of a topic and all topics below it.
    pub fn metric(&self, topic: &str) -> MetricQuery {
        self.read_handle().metric(topic)
    }
}

impl fmt::Debug for ReadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHandle").finish_non_exhaustive()
    }
}

impl Services {
    /// The handle of the open application: [`Annals`](super::Annals) adds it to the services.
    pub(super) fn read_handle(&self) -> &Arc<ReadHandle> {
        match self.get() {
            Some(handle) => handle,
            None => missing::<ReadHandle>(),
        }
    }
}

impl<'a, C> PrepareContext<'a, C> {
    /// A handle to read aggregates, views, the audit log and metrics with.
    ///
    /// What `prepare` reads may change before the command is decided: what the decision depends on belongs in its scope.
    ///
    /// # Panics
    /// In a test that prepares a command without an open application.
    #[must_use]
    pub fn read(&self) -> &'a ReadHandle {
        self.services().read_handle()
    }
}
