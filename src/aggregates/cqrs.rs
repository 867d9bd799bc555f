//! [`Cqrs`]: makes an aggregate a cqrs-es aggregate, so that the test framework of cqrs-es runs on it.

use serde::{Deserialize, Serialize};

use super::{Aggregate, Circumstances};

/// A command on one aggregate for cqrs-es: see `Cqrs::command`.
pub trait Decide<A: Aggregate>: Send + Sync {
    /// Decides on a state after `sequence` events.
    ///
    /// # Errors
    /// The reason why the command is refused.
    fn decide(&self, state: &A, sequence: u64) -> Result<Vec<A::Event>, A::Error>;
}

/// An aggregate for cqrs-es: `TestFramework::<Cqrs<Project>>::with(())`.
///
/// ```no_run
/// # use annals::prelude::*;
/// # use annals::aggregates::Cqrs;
/// # fn given<A: Aggregate, C>(event: A::Event, command: C, context: Context)
/// # where C: Handle + Command<Scope = A, Error = A::Error>, A::Error: PartialEq {
/// cqrs_es::test::TestFramework::<Cqrs<A>>::with(())
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

impl<A: Aggregate> cqrs_es::Aggregate for Cqrs<A> {
    const TYPE: &'static str = A::TYPE;
    type Command = Box<dyn Decide<A>>;
    type Event = A::Event;
    type Error = A::Error;
    type Services = ();

    async fn handle(
        &mut self,
        command: Self::Command,
        (): &Self::Services,
        sink: &cqrs_es::event_sink::EventSink<Self>,
    ) -> Result<(), Self::Error> {
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
