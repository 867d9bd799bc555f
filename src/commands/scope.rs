//! [`Scope`]: the aggregates that a command is decided on. They are loaded, decided and appended together.

use std::sync::Arc;

use super::Context;
use super::member::Member;
use crate::aggregates::{Aggregate, AggregateType, Circumstances, Loaded};
use crate::events::{Event, Id, InvalidRef, ReadBackError, Ref, read_back};
use crate::store::NewEvent;

/// The aggregates of a command: `A`, `(A, B)`, `(A, B, C)` or `Vec<A>`. The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the scope of a command",
    label = "expected an aggregate, a pair or triple of them, or a `Vec` of one"
)]
pub trait Scope: sealed::Sealed + Send + Sync + 'static {
    /// The ids of the aggregates, in order.
    type Ids;
    /// The aggregates as the handler sees them.
    type View<'a>;
    /// The events that the handler returns: a list for each aggregate, in order.
    type Events;

    /// The aggregate types in the scope, each once: `App::command` registers them.
    fn aggregate_types() -> Vec<AggregateType>;

    /// The references of these aggregates, in order, each with its type.
    #[doc(hidden)]
    fn aggregates(ids: Self::Ids) -> Vec<(AggregateType, Ref)>;

    /// The handler's view of the members' states.
    #[doc(hidden)]
    fn view(members: &[Member]) -> Option<Self::View<'_>>;

    /// Stores in each member its events, encoded, and the state after them.
    #[doc(hidden)]
    fn decide(members: &mut [Member], events: Self::Events, context: &Context) -> Result<(), OutcomeError>;
}

/// An error when a decision cannot be written to the log.
#[doc(hidden)]
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// The handler of a command on several aggregates returned the wrong number of event lists.
    #[error(
        "the handler returned {given} lists of events, but its scope has {wanted} aggregates: return one for each"
    )]
    Shape {
        /// The number of lists.
        given: usize,
        /// The number of aggregates.
        wanted: usize,
    },
    /// An event cannot be written as JSON.
    #[error("a `{event_type}` cannot be written as JSON")]
    Encode {
        /// The event type.
        event_type: &'static str,
        /// The error of serde.
        source: serde_json::Error,
    },
    /// An event does not read back as it was written.
    #[error("a `{event_type}` cannot be written, because it could not be read back")]
    ReadBack {
        /// The event type.
        event_type: &'static str,
        /// What differs.
        source: ReadBackError,
    },
    /// A personal value of an event cannot be sealed.
    #[error("a personal value of a `{event_type}` cannot be sealed")]
    Unsealed {
        /// The event type.
        event_type: &'static str,
        /// The reason.
        source: serde_json::Error,
    },
    /// A source of an event is not a valid reference.
    #[error("a source of a `{event_type}` cannot be stored")]
    Source {
        /// The event type.
        event_type: &'static str,
        /// Why the reference is invalid.
        source: InvalidRef,
    },
    /// A target of an event is not a valid reference.
    #[error("a target of a `{event_type}` cannot be stored")]
    Target {
        /// The event type.
        event_type: &'static str,
        /// Why the reference is invalid.
        source: InvalidRef,
    },
}

fn reference<A: Aggregate>(id: &A::Id) -> (AggregateType, Ref) {
    (AggregateType::for_aggregate::<A>(), Ref::unchecked(A::TYPE, &id.text()))
}

fn state<A: Aggregate>(members: &[Member], index: usize) -> Option<&Loaded<A>> {
    members.get(index)?.before.downcast_ref()
}

/// Encodes an event for the log, and checks that it reads back as the same event.
pub(crate) fn encode<E: Event>(event: &E) -> Result<NewEvent, OutcomeError> {
    let declaration = event.declaration();
    let (event_type, version) = (declaration.event_type, declaration.version_text());
    for target in event.targets() {
        target.check().map_err(|source| OutcomeError::Target { event_type, source })?;
    }
    for from in event.sources() {
        from.check().map_err(|source| OutcomeError::Source { event_type, source })?;
    }
    let payload = event.encode().map_err(|source| OutcomeError::Encode { event_type, source })?;
    read_back(event, &version, &payload).map_err(|source| OutcomeError::ReadBack { event_type, source })?;
    Ok(NewEvent::new(event_type, version, payload))
}

/// Seals the personal values of events of an aggregate. All of them are tried, so that each key that is missing is known.
pub(crate) fn seal<E: Event>(events: &mut [E], aggregate: &Ref) -> Result<(), OutcomeError> {
    let seal = |event: &mut E| {
        let event_type = event.declaration().event_type;
        event.seal(aggregate).map_err(|source| OutcomeError::Unsealed { event_type, source })
    };
    events.iter_mut().filter(|event| event.declaration().is_personal()).map(seal).fold(Ok(()), Result::and)
}

fn decide<A: Aggregate>(
    members: &mut [Member],
    index: usize,
    mut events: Vec<A::Event>,
    context: &Context,
) -> Result<(), OutcomeError> {
    let wanted = members.len();
    let before = state::<A>(members, index).ok_or(OutcomeError::Shape { given: index + 1, wanted })?;
    seal(&mut events, &members[index].aggregate)?;
    let encoded = events.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    let circumstances = Circumstances::new(context.metadata(), context.id().unwrap_or_default(), context.now());
    let after = (!events.is_empty()).then(|| {
        let mut after = before.clone();
        events.iter().for_each(|event| after.apply_event(event, &circumstances));
        after
    });
    let member = &mut members[index];
    member.time_was_read = circumstances.time_was_read();
    member.events = encoded;
    member.after = match after {
        Some(after) => Arc::new(after),
        None => member.before.clone(),
    };
    Ok(())
}

impl<A: Aggregate> Scope for A {
    type Ids = A::Id;
    type View<'a> = &'a Loaded<A>;
    type Events = Vec<A::Event>;

    fn aggregate_types() -> Vec<AggregateType> {
        vec![AggregateType::for_aggregate::<A>()]
    }

    fn aggregates(id: A::Id) -> Vec<(AggregateType, Ref)> {
        vec![reference::<A>(&id)]
    }

    fn view(members: &[Member]) -> Option<&Loaded<A>> {
        state(members, 0)
    }

    fn decide(members: &mut [Member], events: Vec<A::Event>, context: &Context) -> Result<(), OutcomeError> {
        decide::<A>(members, 0, events, context)
    }
}

impl<A: Aggregate, B: Aggregate> Scope for (A, B) {
    type Ids = (A::Id, B::Id);
    type View<'a> = (&'a Loaded<A>, &'a Loaded<B>);
    type Events = (Vec<A::Event>, Vec<B::Event>);

    fn aggregate_types() -> Vec<AggregateType> {
        vec![AggregateType::for_aggregate::<A>(), AggregateType::for_aggregate::<B>()]
    }

    fn aggregates((a, b): Self::Ids) -> Vec<(AggregateType, Ref)> {
        vec![reference::<A>(&a), reference::<B>(&b)]
    }

    fn view(members: &[Member]) -> Option<Self::View<'_>> {
        Some((state(members, 0)?, state(members, 1)?))
    }

    fn decide(members: &mut [Member], (a, b): Self::Events, context: &Context) -> Result<(), OutcomeError> {
        decide::<A>(members, 0, a, context)?;
        decide::<B>(members, 1, b, context)
    }
}

impl<A: Aggregate, B: Aggregate, C: Aggregate> Scope for (A, B, C) {
    type Ids = (A::Id, B::Id, C::Id);
    type View<'a> = (&'a Loaded<A>, &'a Loaded<B>, &'a Loaded<C>);
    type Events = (Vec<A::Event>, Vec<B::Event>, Vec<C::Event>);

    fn aggregate_types() -> Vec<AggregateType> {
        vec![
            AggregateType::for_aggregate::<A>(),
            AggregateType::for_aggregate::<B>(),
            AggregateType::for_aggregate::<C>(),
        ]
    }

    fn aggregates((a, b, c): Self::Ids) -> Vec<(AggregateType, Ref)> {
        vec![reference::<A>(&a), reference::<B>(&b), reference::<C>(&c)]
    }

    fn view(members: &[Member]) -> Option<Self::View<'_>> {
        Some((state(members, 0)?, state(members, 1)?, state(members, 2)?))
    }

    fn decide(members: &mut [Member], (a, b, c): Self::Events, context: &Context) -> Result<(), OutcomeError> {
        decide::<A>(members, 0, a, context)?;
        decide::<B>(members, 1, b, context)?;
        decide::<C>(members, 2, c, context)
    }
}

impl<A: Aggregate> Scope for Vec<A> {
    type Ids = Vec<A::Id>;
    type View<'a> = Vec<&'a Loaded<A>>;
    type Events = Vec<Vec<A::Event>>;

    fn aggregate_types() -> Vec<AggregateType> {
        vec![AggregateType::for_aggregate::<A>()]
    }

    fn aggregates(ids: Self::Ids) -> Vec<(AggregateType, Ref)> {
        ids.iter().map(reference::<A>).collect()
    }

    fn view(members: &[Member]) -> Option<Self::View<'_>> {
        (0..members.len()).map(|index| state(members, index)).collect()
    }

    fn decide(members: &mut [Member], events: Self::Events, context: &Context) -> Result<(), OutcomeError> {
        let (given, wanted) = (events.len(), members.len());
        if given != wanted {
            return Err(OutcomeError::Shape { given, wanted });
        }
        let each = |(index, events)| decide::<A>(members, index, events, context);
        events.into_iter().enumerate().try_for_each(each)
    }
}

mod sealed {
    use crate::aggregates::Aggregate;

    pub trait Sealed {}
    impl<A: Aggregate> Sealed for A {}
    impl<A: Aggregate, B: Aggregate> Sealed for (A, B) {}
    impl<A: Aggregate, B: Aggregate, C: Aggregate> Sealed for (A, B, C) {}
    impl<A: Aggregate> Sealed for Vec<A> {}
}
