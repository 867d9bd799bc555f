//! [`PrepareContext`]: what a command's `prepare` gets.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use super::{Context, Needs, Services};

/// The context of a command that is being prepared, with the application's services and a handle to read with.
///
/// It dereferences to the [`Context`]. A service can be used if the command declares it:
///
/// ```
/// use std::sync::Arc;
///
/// use annals::commands::PrepareContext;
/// use annals::prelude::*;
/// use serde::{Deserialize, Serialize};
/// # #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// # struct OrderId(String);
/// # #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # #[event(name = "order", on = Order)]
/// # enum OrderEvent {
/// #     #[event(update, "{actor} priced {order} at {cents}")]
/// #     Priced { cents: u64 },
/// # }
/// # #[derive(Default, Clone, Serialize, Deserialize)]
/// # struct Order {}
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("no price is known")]
/// # struct NoPrice;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = OrderId;
/// #     type Event = OrderEvent;
/// #     type Error = NoPrice;
/// #     fn apply(&mut self, _: &OrderEvent) {}
/// # }
/// #[async_trait::async_trait]
/// trait Prices: Send + Sync {
///     async fn current(&self) -> Option<u64>;
/// }
///
/// /// Price an order
/// #[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// #[command(needs(dyn Prices))]
/// struct Price {
///     #[on(Order)]
///     order: OrderId,
///     #[serde(skip)]
///     cents: u64,
/// }
///
/// impl Handle for Price {
///     async fn prepare(&mut self, context: &PrepareContext<'_, Self>) -> Result<(), NoPrice> {
///         self.cents = context.service::<dyn Prices>().current().await.ok_or(NoPrice)?;
///         Ok(())
///     }
///
///     fn handle(&self, _: &Loaded<Order>, _: &Context) -> Result<Vec<OrderEvent>, NoPrice> {
///         Ok(vec![OrderEvent::Priced { cents: self.cents }])
///     }
/// }
///
/// struct Fixed(u64);
///
/// #[async_trait::async_trait]
/// impl Prices for Fixed {
///     async fn current(&self) -> Option<u64> {
///         Some(self.0)
///     }
/// }
///
/// let app = || App::new("shop").command::<Price>();
/// assert!(app().check().is_err_and(|unsound| unsound.problems[0].contains("needs the service")));
/// assert!(app().service::<dyn Prices>(Arc::new(Fixed(7))).check().is_ok());
/// ```
pub struct PrepareContext<'a, C> {
    context: &'a Context,
    services: &'a Services,
    command: PhantomData<fn() -> C>,
}

impl<'a, C> PrepareContext<'a, C> {
    pub(crate) fn new(context: &'a Context, services: &'a Services) -> Self {
        Self { context, services, command: PhantomData }
    }

    /// Returns a service that the command declares: `context.service::<dyn Prices>()`.
    ///
    /// # Panics
    /// In a test that prepares a command without this service. An application does not open without it.
    #[must_use]
    pub fn service<T: ?Sized + Send + Sync + 'static>(&self) -> &'a Arc<T>
    where
        C: Needs<T>,
    {
        match self.services.get() {
            Some(service) => service,
            None => missing::<T>(),
        }
    }

    pub(crate) fn services(&self) -> &'a Services {
        self.services
    }
}

/// Panics: a test prepares a command without a service.
pub(crate) fn missing<T: ?Sized>() -> ! {
    let name = std::any::type_name::<T>();
    panic!("there is no service `{name}`: add `.service::<{name}>(…)` to the App, or to the test's services")
}

impl<C> Deref for PrepareContext<'_, C> {
    type Target = Context;

    fn deref(&self) -> &Context {
        self.context
    }
}

impl<C> fmt::Debug for PrepareContext<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepareContext").field("context", self.context).field("services", self.services).finish()
    }
}
