//! [`Kind`]: an aggregate type behind a pointer, so that the engine is compiled once and not per application type.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Aggregate, Loaded};
use crate::events::{DecodeError, Event, Id, InvalidRef, Ref, Stored, Types, TypesError};

/// A state of some aggregate type: an `Arc<Loaded<A>>` in disguise.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// What the engine does with an aggregate whose type it cannot name.
pub(crate) trait AnyAggregate: Send + Sync {
    fn aggregate_type(&self) -> &'static str;
    fn id_kind(&self) -> &'static str;
    fn register(&self, types: &mut Types) -> Result<(), TypesError>;
    /// The state before the first event.
    fn fresh(&self, aggregate: &Ref) -> Result<State, InvalidRef>;
    /// Takes in stored events, in order.
    fn fold(&self, state: &mut State, events: &[Stored]) -> Result<(), DecodeError>;
    fn sequence(&self, state: &State) -> u64;
    fn snapshot(&self, state: &State) -> Result<String, serde_json::Error>;
    fn restore(&self, aggregate: &Ref, sequence: u64, snapshot: &str) -> Option<State>;
    /// What a snapshot is tagged with: it differs when the state's fields, [`Aggregate::SHAPE`] or an event's version do.
    fn shape(&self) -> String;
}

/// An aggregate type, as a [`Scope`](crate::commands::Scope) hands it to the engine.
#[derive(Clone, Copy)]
pub struct Kind(pub(crate) &'static dyn AnyAggregate);

impl Kind {
    /// The kind of `A`.
    #[must_use]
    pub fn of<A: Aggregate>() -> Self {
        Self(&KindOf::<A>(PhantomData))
    }

    /// Its [`Aggregate::TYPE`].
    #[must_use]
    pub fn aggregate_type(&self) -> &'static str {
        self.0.aggregate_type()
    }
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({})", self.aggregate_type())
    }
}

struct KindOf<A>(PhantomData<fn() -> A>);

/// The state, when it is an `A`: the engine never mixes types, so `None` is a fault of its own.
fn loaded<A: Aggregate>(state: &State) -> Option<&Loaded<A>> {
    state.downcast_ref::<Loaded<A>>()
}

impl<A: Aggregate> AnyAggregate for KindOf<A> {
    fn aggregate_type(&self) -> &'static str {
        A::TYPE
    }

    fn id_kind(&self) -> &'static str {
        A::Id::KIND
    }

    fn register(&self, types: &mut Types) -> Result<(), TypesError> {
        types.add::<A::Event>(A::TYPE)
    }

    fn fresh(&self, aggregate: &Ref) -> Result<State, InvalidRef> {
        Ok(Arc::new(Loaded::<A>::new(A::Id::from_text(aggregate.id())?, 0, A::default())))
    }

    fn fold(&self, state: &mut State, events: &[Stored]) -> Result<(), DecodeError> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(before) = loaded::<A>(state) else { return Ok(()) };
        let mut after = before.clone();
        for stored in events {
            after.take_in(&A::Event::from_stored(stored)?);
        }
        *state = Arc::new(after);
        Ok(())
    }

    fn sequence(&self, state: &State) -> u64 {
        loaded::<A>(state).map_or(0, Loaded::sequence)
    }

    fn snapshot(&self, state: &State) -> Result<String, serde_json::Error> {
        serde_json::to_string(&loaded::<A>(state).map(Loaded::state))
    }

    fn restore(&self, aggregate: &Ref, sequence: u64, snapshot: &str) -> Option<State> {
        let id = A::Id::from_text(aggregate.id()).ok()?;
        let state: A = serde_json::from_str(snapshot).ok()?;
        Some(Arc::new(Loaded::<A>::new(id, sequence, state)))
    }

    fn shape(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(A::SHAPE.to_le_bytes());
        hash.update(std::any::type_name::<A>());
        hash.update(serde_json::to_string(&A::default()).unwrap_or_default());
        for declaration in A::Event::declarations() {
            hash.update(declaration.event_type);
            hash.update(declaration.version.to_le_bytes());
            for field in declaration.fields {
                hash.update(field.name);
                hash.update(field.shape);
            }
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
