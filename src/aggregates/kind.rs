//! [`Kind`]: an aggregate type behind a pointer, so that the engine is compiled once and not per application type.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Aggregate, Loaded};
use crate::events::json::Node;
use crate::events::{DecodeError, Event, Id, InvalidRef, Ref, Stored, Types, TypesError};
use crate::text::hex;

/// A state of some aggregate type: an `Arc<Loaded<A>>` in disguise.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// What the engine does with an aggregate whose type it cannot name.
pub(crate) trait AnyAggregate: Send + Sync {
    fn aggregate_type(&self) -> &'static str;
    /// Its type in Rust, and what that is called.
    fn rust_type(&self) -> (TypeId, &'static str);
    fn id_kind(&self) -> &'static str;
    fn register(&self, types: &mut Types) -> Result<(), TypesError>;
    /// The state before the first event.
    fn fresh(&self, aggregate: &Ref) -> Result<State, InvalidRef>;
    /// Takes in stored events, in order.
    fn fold(&self, state: &mut State, events: &[Stored]) -> Result<(), DecodeError>;
    fn sequence(&self, state: &State) -> u64;
    /// The state as JSON.
    ///
    /// # Errors
    /// When it cannot be written, or would not restore to the same JSON.
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

    fn rust_type(&self) -> (TypeId, &'static str) {
        (TypeId::of::<A>(), std::any::type_name::<A>())
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
        let state = serde_json::to_string(&loaded::<A>(state).map(Loaded::state))?;
        let restored = serde_json::to_string(&serde_json::from_str::<A>(&state)?)?;
        // A map or a set may come in another order each time.
        match restored == state || Node::parse(&restored).unordered() == Node::parse(&state).unordered() {
            true => Ok(state),
            false => {
                Err(serde::ser::Error::custom("it restores to another state: serde writes more than it reads"))
            }
        }
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
        hex(&hash.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use annals_macros::{Event, Id};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct GaugeId(String);

    #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[event(name = "gauge")]
    enum GaugeEvent {
        #[event(update, "{actor} read it")]
        Read,
    }

    fn one() -> u8 {
        1
    }

    fn is_zero(value: &u8) -> bool {
        *value == 0
    }

    #[derive(Default, Clone, Serialize, Deserialize)]
    struct Gauge {
        #[serde(default = "one", skip_serializing_if = "is_zero")]
        level: u8,
        mean: f64,
        names: HashSet<String>,
        counts: HashMap<u32, Vec<u8>>,
    }

    impl Aggregate for Gauge {
        const TYPE: &'static str = "gauge";
        type Id = GaugeId;
        type Event = GaugeEvent;
        type Error = std::convert::Infallible;
        fn apply(&mut self, _: &GaugeEvent) {}
    }

    fn snapshot(gauge: Gauge) -> Result<String, serde_json::Error> {
        let state: State = Arc::new(Loaded::new(GaugeId::new("1"), 1, gauge));
        Kind::of::<Gauge>().0.snapshot(&state)
    }

    /// Decisions would be made on another state after a restart.
    #[test]
    fn a_state_that_restores_to_another_has_no_snapshot() {
        let sound = || Gauge {
            level: 2,
            names: (0..20).map(|n| n.to_string()).collect(),
            counts: (0..20).map(|n| (n, vec![2, 1])).collect(),
            ..Gauge::default()
        };
        (0..10).for_each(|_| drop(snapshot(sound()).unwrap()));
        let error = snapshot(Gauge { level: 0, ..sound() }).unwrap_err();
        assert!(error.to_string().contains("restores to another state"), "{error}");
        snapshot(Gauge { mean: f64::NAN, ..sound() }).unwrap_err();
    }
}
