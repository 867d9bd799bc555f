//! Scenarios: given events, when a command, then events or a refusal. For any scope.

use std::fmt::Debug;
use std::sync::Arc;

use super::keys::ScenarioKeys;
use crate::aggregates::{Aggregate, AggregateType, AnyState, Circumstances};
use crate::commands::{
    AnyCommand, Command, Context, EventsOf, Handle, Member, PrepareContext, Scope, Services, Undecided, encode,
    seal,
};
use crate::events::{Id, Ref};
use crate::store::NewEvent;
use crate::text::error_chain;

/// The events before the command, and the services that it may call.
#[derive(Clone, Default)]
pub struct Given {
    states: Vec<(Ref, AnyState)>,
    services: Services,
    keys: ScenarioKeys,
}

/// Begins a scenario without earlier events.
#[must_use]
pub fn nothing() -> Given {
    Given::default()
}

/// Begins a scenario with earlier events of one aggregate.
///
/// ```no_run
/// # use annals::prelude::*;
/// # fn test<A: Aggregate, C: Handle + Command<Scope = A>>(id: A::Id, before: A::Event, command: C, after: A::Event)
/// # where A::Event: PartialEq {
/// # let alice = Ref::new("user", "alice").unwrap();
/// annals::testing::given::<A>(&id, [before]).when(command, Context::by(alice)).then(vec![after]);
/// # }
/// ```
#[must_use]
pub fn given<A: Aggregate>(id: &A::Id, events: impl IntoIterator<Item = A::Event>) -> Given {
    nothing().and::<A>(id, events)
}

impl Given {
    /// Adds earlier events of another aggregate. For `apply_with` their actor is `system:unknown`.
    ///
    /// # Panics
    /// When an event cannot be written or would not read back.
    #[must_use]
    #[track_caller]
    pub fn and<A: Aggregate>(self, id: &A::Id, events: impl IntoIterator<Item = A::Event>) -> Self {
        self.add::<A>(id, events, &Circumstances::unknown())
    }

    /// Adds earlier events of another aggregate that were caused in this context.
    ///
    /// # Panics
    /// When an event cannot be written or would not read back.
    #[must_use]
    #[track_caller]
    pub fn and_in<A: Aggregate>(
        self,
        context: &Context,
        id: &A::Id,
        events: impl IntoIterator<Item = A::Event>,
    ) -> Self {
        let command_id = context.id().unwrap_or_default();
        self.add::<A>(id, events, &Circumstances::new(context.metadata(), command_id, context.now()))
    }

    #[track_caller]
    fn add<A: Aggregate>(
        mut self,
        id: &A::Id,
        events: impl IntoIterator<Item = A::Event>,
        circumstances: &Circumstances<'_>,
    ) -> Self {
        let mut loaded = crate::aggregates::Loaded::<A>::new(id.clone(), 0, A::default());
        let aggregate = Ref::unchecked(A::TYPE, &id.text());
        for mut event in events {
            let encoded = || {
                seal(std::slice::from_mut(&mut event), &aggregate)?;
                encode(&event)
            };
            // Given events are sealed as if they were recorded before the erasure.
            let (encoded, _) = ScenarioKeys::default().within(encoded);
            encoded.unwrap_or_else(|error| panic!("{}: {event:?}", error_chain(&error)));
            loaded.apply_event(&event, circumstances);
        }
        self.states.push((Ref::unchecked(A::TYPE, &id.text()), Arc::new(loaded)));
        self
    }

    /// Erases a subject before the command: its handler sees [`Opened::Erased`](crate::events::Opened::Erased).
    #[must_use]
    pub fn erased(mut self, subject: Ref) -> Self {
        self.keys.erased.insert(subject);
        self
    }

    /// Gives a service, for [`when_prepared`](Self::when_prepared).
    #[must_use]
    pub fn service<T: ?Sized + Send + Sync + 'static>(mut self, service: Arc<T>) -> Self {
        self.services = self.services.with(service);
        self
    }

    /// Prepares a command with the given services, as [`Handle::prepare`] does it, and decides it.
    ///
    /// ```no_run
    /// # use annals::prelude::*;
    /// # trait Prices: Send + Sync {}
    /// # async fn test<P: Prices + 'static, C: Handle>(fixed: P, command: C, after: annals::commands::EventsOf<C>) {
    /// # let alice = Ref::new("user", "alice").unwrap();
    /// let given = annals::testing::nothing().service::<dyn Prices>(std::sync::Arc::new(fixed));
    /// given.when_prepared(command, Context::by(alice)).await.then(after);
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`when`](Self::when); and when the command needs a service that is not given, or reads the open application.
    pub async fn when_prepared<C: Command + Handle>(&self, mut command: C, context: Context) -> When<C> {
        let context = context.resolved(uuid::Uuid::now_v7, jiff::Timestamp::now());
        match Handle::prepare(&mut command, &PrepareContext::new(&context, &self.services)).await {
            Ok(()) => self.when(command, context),
            Err(error) => When { context, members: Vec::new(), decided: Err(error), keys: self.keys.clone() },
        }
    }

    /// Decides a command, without preparing it.
    ///
    /// # Panics
    /// When the id of an aggregate does not parse, or a decided event cannot be written or would not read back.
    #[track_caller]
    pub fn when<C: Command + Handle>(&self, command: C, context: Context) -> When<C> {
        let context = context.resolved(uuid::Uuid::now_v7, jiff::Timestamp::now());
        let member = |(kind, aggregate): (AggregateType, Ref)| {
            let state = match self.states.iter().find(|(known, _)| *known == aggregate) {
                Some((_, state)) => state.clone(),
                None => kind.0.fresh(&aggregate).unwrap_or_else(|error| panic!("{error}")),
            };
            Member::new(kind, aggregate, state)
        };
        let mut members: Vec<Member> = C::Scope::aggregates(command.ids()).into_iter().map(member).collect();
        let (decided, _) = self.keys.within(|| command.decide(&mut members, &context));
        let decided = match decided {
            Ok(()) => Ok(events_of(&members)),
            Err(Undecided::Refused(error)) => match error.downcast::<C::Error>() {
                Ok(error) => Err(*error),
                Err(other) => panic!("{other}"),
            },
            Err(Undecided::Invalid(error)) => panic!("{}", error_chain(&error)),
        };
        When { context, members, decided, keys: self.keys.clone() }
    }
}

/// The outcome of the command.
pub struct When<C: Command> {
    context: Context,
    members: Vec<Member>,
    decided: Result<Vec<Vec<NewEvent>>, C::Error>,
    keys: ScenarioKeys,
}

impl<C: Command> When<C> {
    /// Asserts that these events follow, compared as encoded for the log.
    ///
    /// # Panics
    /// When other events follow, or the command is refused.
    #[track_caller]
    pub fn then(self, events: EventsOf<C>) {
        let Self { context, mut members, decided, keys } = self;
        let decided = decided.unwrap_or_else(|error| panic!("the command was refused: {error}"));
        let (encoded, _) = keys.within(|| <C::Scope as Scope>::decide(&mut members, events, &context));
        encoded.unwrap_or_else(|error| panic!("{}", error_chain(&error)));
        assert_eq!(decided, events_of(&members), "the command decided other events");
    }

    /// Asserts that no events follow.
    ///
    /// # Panics
    /// When events follow, or the command is refused.
    #[track_caller]
    pub fn then_nothing(self) {
        match self.decided {
            Ok(events) => assert!(events.iter().all(Vec::is_empty), "events followed: {events:?}"),
            Err(error) => panic!("the command was refused: {error}"),
        }
    }

    /// Asserts that the command is refused for this reason.
    ///
    /// # Panics
    /// When events follow, or it is refused for another reason.
    #[track_caller]
    pub fn then_refused(self, reason: C::Error)
    where
        C::Error: PartialEq + Debug,
    {
        match self.decided {
            Ok(events) => panic!("the command was not refused, but decided {events:?}"),
            Err(error) => assert_eq!(error, reason, "the command was refused for another reason"),
        }
    }
}

fn events_of(members: &[Member]) -> Vec<Vec<NewEvent>> {
    members.iter().map(|member| member.events.clone()).collect()
}
