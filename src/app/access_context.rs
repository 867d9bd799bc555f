//! [`AccessContext`]: what the authoriser gets.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

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
    /// For a command: its commit names what is loaded.
    loads: Option<&'a AccessLoads<'a>>,
}

impl<'a> AccessContext<'a> {
    pub(super) fn new(context: &'a Context, services: &'a Services, loads: Option<&'a AccessLoads<'a>>) -> Self {
        Self { context, services, loads }
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

    /// Loads an aggregate: for roles that are in the log. It includes every command that was answered before, of this process
    /// or another one.
    ///
    /// A command whose authoriser loads an aggregate depends on it: if the aggregate changes before the command is in the log,
    /// the authoriser is asked again. So no command has a position in the log after the event that took away its right. One
    /// that loads nothing is asked once.
    ///
    /// # Errors
    /// When its events cannot be read. `?` makes a denial of it.
    pub async fn load<A: Aggregate>(&self, id: &A::Id) -> Result<Loaded<A>, LoadError> {
        match self.loads {
            Some(loads) => loads.load::<A>(id).await,
            None => self.read().load(id).await,
        }
    }

    /// Loads an aggregate as [`load`](Self::load), without a copy of its state.
    #[cfg(feature = "access")]
    pub(crate) async fn load_shared<A: Aggregate>(&self, id: &A::Id) -> Result<Arc<Loaded<A>>, LoadError> {
        match self.loads {
            Some(loads) => loads.load_shared::<A>(id).await,
            None => self.read().load_shared(id).await,
        }
    }

    /// The present time, by which rights end: that of the application's clock, but never before the log's last event. The time
    /// at which a command says that something occurred has no effect on it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.loads.map_or_else(|| self.read().time(), AccessLoads::time)
    }

    /// Says that the answer holds only before this time: the earliest one counts. If a command is recorded then or later, the
    /// authoriser is asked again instead.
    pub fn valid_until(&self, time: Timestamp) {
        if let Some(loads) = self.loads {
            loads.valid_until(time);
        }
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
