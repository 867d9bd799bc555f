//! [`Services`]: what an application calls outside of its log, by type.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// How long `prepare` and the authoriser may take, unless the application sets another time.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The services of an application: one value for each type, such as an `Arc<dyn Prices>`.
///
/// An application gives them by [`App::service`](crate::app::App::service); a test of one command gives its own.
#[derive(Clone)]
pub struct Services {
    values: Arc<HashMap<TypeId, Service>>,
    pub(crate) time_limit: Duration,
}

#[derive(Clone)]
struct Service {
    name: &'static str,
    /// An `Arc<T>`.
    value: Arc<dyn Any + Send + Sync>,
}

impl Default for Services {
    fn default() -> Self {
        Self { values: Arc::default(), time_limit: TIME_LIMIT }
    }
}

impl Services {
    /// Adds a service. It replaces an earlier one of the same type.
    #[must_use]
    pub fn with<T: ?Sized + Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        let service = Service { name: type_name::<T>(), value: Arc::new(service) };
        Arc::make_mut(&mut self.values).insert(TypeId::of::<T>(), service);
        self
    }

    /// Returns the service of a type.
    #[must_use]
    pub fn get<T: ?Sized + Send + Sync + 'static>(&self) -> Option<&Arc<T>> {
        self.values.get(&TypeId::of::<T>())?.value.downcast_ref()
    }

    /// Whether there is a service of this type.
    pub(crate) fn has(&self, service: ServiceType) -> bool {
        self.values.contains_key(&service.id)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.values().map(|service| service.name)).finish()
    }
}

/// The type of a service, for [`App::check`](crate::app::App::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceType {
    id: TypeId,
    name: &'static str,
}

impl ServiceType {
    /// Returns the type of the service `T`: `ServiceType::of::<dyn Prices>()`.
    #[must_use]
    pub fn of<T: ?Sized + 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T>() }
    }

    /// The Rust name of the type: `dyn shop::Prices`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }
}

/// A command that needs the service `T`: `#[command(needs(dyn Prices))]` implements it.
///
/// Only a declared service can be used in [`prepare`](super::Handle::prepare), so that
/// [`App::check`](crate::app::App::check) finds a missing one before the store is opened.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not declare that it needs the service `{T}`",
    label = "used here without a declaration",
    note = "write `#[command(needs({T}))]` on `{Self}`"
)]
pub trait Needs<T: ?Sized> {}

/// Waits for a future within a time limit; `None` when the time is over. A future that is ready at once costs no timer and no
/// memory for one.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match futures::poll!(&mut future) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => Box::pin(tokio::time::timeout(limit, future)).await.ok(),
    }
}
