//! [`AggregateType`]: an aggregate type with its Rust type erased: the engine is compiled once, not once for each type.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Aggregate, Circumstances, Loaded};
use crate::events::json::Node;
use crate::events::{DecodeError, Event, Id, InvalidRef, Ref, Stored, Types, TypesError};
use crate::text::hex;

/// A state of any aggregate type: an erased `Arc<Loaded<A>>`.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

/// The operations of the engine on an aggregate of any type.
pub(crate) trait ErasedAggregateType: Send + Sync {
    fn name(&self) -> &'static str;
    /// The Rust type and its name.
    fn rust_type(&self) -> (TypeId, &'static str);
    fn id_kind(&self) -> &'static str;
    fn register(&self, types: &mut Types) -> Result<(), TypesError>;
    /// The state before the first event.
    fn fresh(&self, aggregate: &Ref) -> Result<AnyState, InvalidRef>;
    /// Folds stored events into the state, in order.
    fn fold(&self, state: &mut AnyState, events: &[Stored]) -> Result<(), DecodeError>;
    fn sequence(&self, state: &AnyState) -> u64;
    /// The state as JSON.
    ///
    /// # Errors
    /// When it cannot be written, or does not restore to the same JSON.
    fn snapshot(&self, state: &AnyState) -> Result<String, serde_json::Error>;
    /// The state as a JSON value, to be shown. It need not restore.
    ///
    /// # Errors
    /// When it cannot be written.
    fn json(&self, state: &AnyState) -> Result<Value, serde_json::Error>;
    fn restore(&self, aggregate: &Ref, sequence: u64, snapshot: &str) -> Option<AnyState>;
    /// The tag of snapshots. It changes with the state's fields, [`Aggregate::SHAPE`] and the events' versions.
    fn shape(&self) -> String;
}

/// An aggregate type in the [`Scope`](crate::commands::Scope) of a command.
#[derive(Clone, Copy)]
pub struct AggregateType(pub(crate) &'static dyn ErasedAggregateType);

impl AggregateType {
    /// Returns the aggregate type of `A`.
    #[must_use]
    pub fn for_aggregate<A: Aggregate>() -> Self {
        Self(&Typed::<A>(PhantomData))
    }

    /// Its name: [`Aggregate::TYPE`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl std::fmt::Debug for AggregateType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AggregateType({})", self.name())
    }
}

struct Typed<A>(PhantomData<fn() -> A>);

/// The state as an `A`. `None` would be a bug: the engine never mixes types.
fn loaded<A: Aggregate>(state: &AnyState) -> Option<&Loaded<A>> {
    state.downcast_ref::<Loaded<A>>()
}

impl<A: Aggregate> ErasedAggregateType for Typed<A> {
    fn name(&self) -> &'static str {
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

    fn fresh(&self, aggregate: &Ref) -> Result<AnyState, InvalidRef> {
        Ok(Arc::new(Loaded::<A>::new(A::Id::from_text(aggregate.id())?, 0, A::default())))
    }

    fn fold(&self, state: &mut AnyState, events: &[Stored]) -> Result<(), DecodeError> {
        if events.is_empty() {
            return Ok(());
        }
        let Some(before) = loaded::<A>(state) else { return Ok(()) };
        let mut after = before.clone();
        for stored in events {
            let circumstances = Circumstances::of_stored(stored);
            after.apply_event(&A::Event::from_stored(stored)?, &circumstances);
            circumstances.finish()?;
        }
        *state = Arc::new(after);
        Ok(())
    }

    fn sequence(&self, state: &AnyState) -> u64 {
        loaded::<A>(state).map_or(0, Loaded::sequence)
    }

    fn snapshot(&self, state: &AnyState) -> Result<String, serde_json::Error> {
        let state = serde_json::to_string(&loaded::<A>(state).map(Loaded::state))?;
        let restored = serde_json::to_string(&serde_json::from_str::<A>(&state)?)?;
        // A map or a set may be written in another order each time.
        match restored == state || Node::parse(&restored).unordered() == Node::parse(&state).unordered() {
            true => Ok(state),
            false => Err(serde::ser::Error::custom(
                "the state restores to another state: `Serialize` writes more than `Deserialize` reads",
            )),
        }
    }

    fn json(&self, state: &AnyState) -> Result<Value, serde_json::Error> {
        // By its text, which can have any number as a key.
        serde_json::from_str(&serde_json::to_string(&loaded::<A>(state).map(Loaded::state))?)
    }

    fn restore(&self, aggregate: &Ref, sequence: u64, snapshot: &str) -> Option<AnyState> {
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
        let state: AnyState = Arc::new(Loaded::new(GaugeId::new("1"), 1, gauge));
        AggregateType::for_aggregate::<Gauge>().0.snapshot(&state)
    }

    /// Otherwise commands would be decided on another state after a restart.
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
