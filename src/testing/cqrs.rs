//! [`Cqrs`]: makes an aggregate a cqrs-es aggregate, so that the test framework of cqrs-es runs on it.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::aggregates::{Aggregate, Circumstances, Loaded};
use crate::commands::{Command, Context, Handle, PrepareContext, Services};

/// A command on one aggregate for cqrs-es: see [`Cqrs::command`].
pub trait Decide<A: Aggregate>: Send + Sync {
    /// Prepares the command with these services.
    ///
    /// # Errors
    /// The reason why the command is refused.
    fn prepare<'a>(&'a mut self, services: &'a Services) -> BoxFuture<'a, Result<(), A::Error>>;

    /// Decides on a state after `sequence` events.
    ///
    /// # Errors
    /// The reason why the command is refused.
    fn decide(&self, state: &A, sequence: u64) -> Result<Vec<A::Event>, A::Error>;
}

impl<A, C> Decide<A> for (C, Context)
where
    A: Aggregate,
    C: Handle + Command<Scope = A, Error = A::Error>,
{
    fn prepare<'a>(&'a mut self, services: &'a Services) -> BoxFuture<'a, Result<(), A::Error>> {
        let (command, context) = self;
        Box::pin(async move { Handle::prepare(command, &PrepareContext::new(context, services)).await })
    }

    fn decide(&self, state: &A, sequence: u64) -> Result<Vec<A::Event>, A::Error> {
        self.0.handle(&Loaded::new(self.0.ids(), sequence, state.clone()), &self.1)
    }
}

/// An aggregate for cqrs-es: `TestFramework::<Cqrs<Project>>::with(services)`. A command is prepared with the services, then
/// decided.
///
/// ```no_run
/// # use annals::prelude::*;
/// # use annals::commands::Services;
/// # use annals::testing::Cqrs;
/// # trait Prices: Send + Sync {}
/// # fn given<A: Aggregate, C>(fixed: std::sync::Arc<dyn Prices>, event: A::Event, command: C, context: Context)
/// # where C: Handle + Command<Scope = A, Error = A::Error>, A::Error: PartialEq {
/// cqrs_es::test::TestFramework::<Cqrs<A>>::with(Services::default().with::<dyn Prices>(fixed))
///     .given(vec![event.clone()])
///     .when(Cqrs::<A>::command(command, context))
///     .then_expect_events(vec![event]);
/// # }
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Cqrs<A: Aggregate> {
    state: A,
    sequence: u64,
}

impl<A: Aggregate> Cqrs<A> {
    /// Returns a command for `when` of cqrs-es.
    pub fn command<C>(command: C, context: Context) -> Box<dyn Decide<A>>
    where
        C: Handle + Command<Scope = A, Error = A::Error>,
    {
        Box::new((command, context.resolved(uuid::Uuid::now_v7, jiff::Timestamp::now())))
    }
}

impl<A: Aggregate> cqrs_es::Aggregate for Cqrs<A> {
    const TYPE: &'static str = A::TYPE;
    type Command = Box<dyn Decide<A>>;
    type Event = A::Event;
    type Error = A::Error;
    type Services = Services;

    async fn handle(
        &mut self,
        mut command: Self::Command,
        services: &Self::Services,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), Self::Error> {
        command.prepare(services).await?;
        for event in command.decide(&self.state, self.sequence)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        // cqrs-es does not say who caused an event.
        self.state.apply_with(&event, &Circumstances::unknown());
        self.sequence += 1;
    }
}
