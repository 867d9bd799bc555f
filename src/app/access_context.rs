//! [`AccessContext`]: what the authoriser gets.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::following::ReadLoads;
use super::{Denial, ReadHandle};
use crate::aggregates::{Aggregate, LoadError, Loaded};
use crate::commands::{AccessLoads, Context, Services};

/// The circumstances of what an actor asks for: the context, the claims of its token, the application's services, and a handle
/// to read with.
///
/// It dereferences to the [`Context`].
pub struct AccessContext<'a> {
    context: &'a Context,
    services: &'a Services,
    loads: Loads<'a>,
    /// The grants that allow it.
    grants: Mutex<Vec<Uuid>>,
}

/// What becomes of the aggregates that an authoriser loads.
#[derive(Clone, Copy)]
pub(super) enum Loads<'a> {
    /// For a command: its commit names them.
    Command(&'a AccessLoads<'a>),
    /// For a read: if it is followed live, the authoriser is asked again when they change.
    Read(&'a ReadLoads),
}

impl<'a> From<&'a ReadLoads> for Loads<'a> {
    fn from(loads: &'a ReadLoads) -> Self {
        Self::Read(loads)
    }
}

impl<'a> AccessContext<'a> {
    pub(super) fn new(context: &'a Context, services: &'a Services, loads: Loads<'a>) -> Self {
        Self { context, services, loads, grants: Mutex::default() }
    }

    /// The claims of the verified token; `None` if the caller was not identified by a token, such as on the command line.
    #[must_use]
    pub fn claims(&self) -> Option<&'a Map<String, Value>> {
        self.context.claims()
    }

    /// One claim of the verified token: `access.claim("groups")`.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&'a Value> {
        self.claims()?.get(name)
    }

    /// Returns a service of the application. [`Authorise::needs`](super::Authorise::needs) declares it, so that
    /// [`App::check`](super::App::check) finds a missing one.
    ///
    /// # Errors
    /// A denial, when the application has no such service.
    pub fn service<T: ?Sized + Send + Sync + 'static>(&self) -> Result<&'a Arc<T>, Denial> {
        self.services.get().ok_or_else(|| {
            let name = std::any::type_name::<T>();
            tracing::error!(service = name, "the authoriser uses a service that the application does not have");
            Denial::because("the authoriser lacks a service")
        })
    }

    /// Whether what is asked for is followed live: a stream of rows of the audit log, or of a metric.
    #[must_use]
    pub fn follows(&self) -> bool {
        matches!(self.loads, Loads::Read(reads) if reads.follows())
    }

    /// Loads an aggregate: for roles that are in the log. It includes every command that was answered before, of this process
    /// or another one.
    ///
    /// A command whose authoriser loads an aggregate depends on it: if the aggregate changes before the command is in the log,
    /// the authoriser is asked again. So no command has a position in the log after the event that took away its right. One
    /// that loads nothing is asked once.
    ///
    /// A read that is followed live is asked again when such an aggregate changes, and ends when it is denied.
    ///
    /// # Errors
    /// When its events cannot be read. `?` makes a denial of it.
    pub async fn load<A: Aggregate>(&self, id: &A::Id) -> Result<Loaded<A>, LoadError> {
        self.load_shared(id).await.map(|loaded| Loaded::clone(&loaded))
    }

    /// Loads an aggregate as [`load`](Self::load), without a copy of its state.
    pub(crate) async fn load_shared<A: Aggregate>(&self, id: &A::Id) -> Result<Arc<Loaded<A>>, LoadError> {
        match self.loads {
            Loads::Command(loads) => loads.load_shared::<A>(id).await,
            Loads::Read(reads) => {
                let loaded = self.read().load_shared(id).await;
                reads.note::<A>(id, &loaded);
                loaded
            }
        }
    }

    /// The present time, by which rights end: that of the application's clock, but never before the log's last event. The time
    /// at which a command says that something occurred has no effect on it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self.loads {
            Loads::Command(loads) => loads.time(),
            Loads::Read(_) => self.read().time(),
        }
    }

    /// Says that the answer holds only before this time: the earliest one counts. If a command is recorded then or later, the
    /// authoriser is asked again instead; so it is then for a read that is followed live.
    pub fn valid_until(&self, time: Timestamp) {
        match self.loads {
            Loads::Command(loads) => loads.valid_until(time),
            Loads::Read(reads) => reads.valid_until(time),
        }
    }

    /// Says that this grant allows it. The log keeps it with the command, or with the record of the read.
    #[cfg(feature = "access")]
    pub(crate) fn allowed_by(&self, grant: Uuid) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }

    /// The grants that allow it.
    pub(super) fn into_grants(self) -> Vec<Uuid> {
        self.grants.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to read views, the audit log and metrics with. These reads are neither authorised nor recorded.
    #[must_use]
    pub fn read(&self) -> &'a ReadHandle {
        self.services.read_handle()
    }
}

impl Deref for AccessContext<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.context
    }
}

impl fmt::Debug for AccessContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessContext").field("context", self.context).field("services", self.services).finish()
    }
}
