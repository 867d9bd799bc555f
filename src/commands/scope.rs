//! [`Scope`]: which aggregates a command is decided on, all of them loaded, decided and appended together.

use crate::aggregates::{Aggregate, Kind, Loaded, State};
use crate::events::{Event, Id, InvalidRef, ReadBackError, Ref, read_back};
use crate::store::NewEvent;

/// The aggregates of a command: `A`, `(A, B)`, `(A, B, C)` or `Vec<A>`. Sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no scope of a command",
    label = "expected an aggregate, a pair or triple of them, or a `Vec` of one"
)]
pub trait Scope: sealed::Sealed + Send + Sync + 'static {
    /// Their ids, in order.
    type Ids;
    /// What a handler sees.
    type View<'a>;
    /// What a handler answers with: events for each, in order.
    type Events;

    /// The types of aggregate that it may hold, each once: what `App::command` registers.
    fn kinds() -> Vec<Kind>;

    /// Which aggregates these are, in order, each with its kind.
    #[doc(hidden)]
    fn members(ids: Self::Ids) -> Vec<(Kind, Ref)>;

    /// What a handler sees of these states.
    #[doc(hidden)]
    fn view(states: &Members) -> Option<Self::View<'_>>;

    /// The events for each member, encoded, with the state that each would then have.
    #[doc(hidden)]
    fn outcome(states: &Members, events: Self::Events) -> Result<Vec<Change>, OutcomeError>;
}

/// The states of a scope's members, in order.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Members(pub(crate) Vec<State>);

/// What a decision does to one member.
#[doc(hidden)]
pub struct Change {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) state: State,
}

/// Why a decision cannot be written.
#[doc(hidden)]
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// A handler for several aggregates answered with another number of lists than it was given aggregates.
    #[error("the handler answered with events for {given} aggregates, but its scope has {wanted}")]
    Shape {
        /// How many lists.
        given: usize,
        /// How many aggregates.
        wanted: usize,
    },
    /// A field could not be written as JSON.
    #[error("a `{event_type}` cannot be written as JSON")]
    Encode {
        /// The event's type.
        event_type: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// It could not be read back as it is.
    #[error("a `{event_type}` cannot be written, because it could not be read back")]
    ReadBack {
        /// The event's type.
        event_type: &'static str,
        /// What is wrong with it.
        source: ReadBackError,
    },
    /// A target is not a reference that may be stored.
    #[error("a target of a `{event_type}` cannot be stored")]
    Target {
        /// The event's type.
        event_type: &'static str,
        /// What is wrong with it.
        source: InvalidRef,
    },
}

fn member<A: Aggregate>(id: &A::Id) -> (Kind, Ref) {
    (Kind::of::<A>(), Ref::unchecked(A::TYPE, &id.text()))
}

fn state<A: Aggregate>(states: &Members, index: usize) -> Option<&Loaded<A>> {
    states.0.get(index)?.downcast_ref()
}

/// An event as the log will hold it, once it is certain that it can be read from there.
pub(crate) fn encode<E: Event>(event: &E) -> Result<NewEvent, OutcomeError> {
    let declaration = event.declaration();
    let (event_type, version) = (declaration.event_type, declaration.version_text());
    for target in event.targets() {
        target.check().map_err(|source| OutcomeError::Target { event_type, source })?;
    }
    let payload = event.encode().map_err(|source| OutcomeError::Encode { event_type, source })?;
    read_back(event, &version, &payload).map_err(|source| OutcomeError::ReadBack { event_type, source })?;
    Ok(NewEvent::new(event_type, version, payload))
}

fn change<A: Aggregate>(states: &Members, index: usize, events: Vec<A::Event>) -> Result<Change, OutcomeError> {
    let wanted = states.0.len();
    let before = state::<A>(states, index).ok_or(OutcomeError::Shape { given: index + 1, wanted })?;
    let encoded = events.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    if events.is_empty() {
        return Ok(Change { events: encoded, state: states.0[index].clone() });
    }
    let mut after = before.clone();
    events.iter().for_each(|event| after.take_in(event));
    Ok(Change { events: encoded, state: std::sync::Arc::new(after) })
}

impl<A: Aggregate> Scope for A {
    type Ids = A::Id;
    type View<'a> = &'a Loaded<A>;
    type Events = Vec<A::Event>;

    fn kinds() -> Vec<Kind> {
        vec![Kind::of::<A>()]
    }

    fn members(id: A::Id) -> Vec<(Kind, Ref)> {
        vec![member::<A>(&id)]
    }

    fn view(states: &Members) -> Option<&Loaded<A>> {
        state(states, 0)
    }

    fn outcome(states: &Members, events: Vec<A::Event>) -> Result<Vec<Change>, OutcomeError> {
        Ok(vec![change::<A>(states, 0, events)?])
    }
}

impl<A: Aggregate, B: Aggregate> Scope for (A, B) {
    type Ids = (A::Id, B::Id);
    type View<'a> = (&'a Loaded<A>, &'a Loaded<B>);
    type Events = (Vec<A::Event>, Vec<B::Event>);

    fn kinds() -> Vec<Kind> {
        vec![Kind::of::<A>(), Kind::of::<B>()]
    }

    fn members((a, b): Self::Ids) -> Vec<(Kind, Ref)> {
        vec![member::<A>(&a), member::<B>(&b)]
    }

    fn view(states: &Members) -> Option<Self::View<'_>> {
        Some((state(states, 0)?, state(states, 1)?))
    }

    fn outcome(states: &Members, (a, b): Self::Events) -> Result<Vec<Change>, OutcomeError> {
        Ok(vec![change::<A>(states, 0, a)?, change::<B>(states, 1, b)?])
    }
}

impl<A: Aggregate, B: Aggregate, C: Aggregate> Scope for (A, B, C) {
    type Ids = (A::Id, B::Id, C::Id);
    type View<'a> = (&'a Loaded<A>, &'a Loaded<B>, &'a Loaded<C>);
    type Events = (Vec<A::Event>, Vec<B::Event>, Vec<C::Event>);

    fn kinds() -> Vec<Kind> {
        vec![Kind::of::<A>(), Kind::of::<B>(), Kind::of::<C>()]
    }

    fn members((a, b, c): Self::Ids) -> Vec<(Kind, Ref)> {
        vec![member::<A>(&a), member::<B>(&b), member::<C>(&c)]
    }

    fn view(states: &Members) -> Option<Self::View<'_>> {
        Some((state(states, 0)?, state(states, 1)?, state(states, 2)?))
    }

    fn outcome(states: &Members, (a, b, c): Self::Events) -> Result<Vec<Change>, OutcomeError> {
        Ok(vec![change::<A>(states, 0, a)?, change::<B>(states, 1, b)?, change::<C>(states, 2, c)?])
    }
}

impl<A: Aggregate> Scope for Vec<A> {
    type Ids = Vec<A::Id>;
    type View<'a> = Vec<&'a Loaded<A>>;
    type Events = Vec<Vec<A::Event>>;

    fn kinds() -> Vec<Kind> {
        vec![Kind::of::<A>()]
    }

    fn members(ids: Self::Ids) -> Vec<(Kind, Ref)> {
        ids.iter().map(member::<A>).collect()
    }

    fn view(states: &Members) -> Option<Self::View<'_>> {
        (0..states.0.len()).map(|index| state(states, index)).collect()
    }

    fn outcome(states: &Members, events: Self::Events) -> Result<Vec<Change>, OutcomeError> {
        let (given, wanted) = (events.len(), states.0.len());
        if given != wanted {
            return Err(OutcomeError::Shape { given, wanted });
        }
        events.into_iter().enumerate().map(|(index, events)| change::<A>(states, index, events)).collect()
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
