//! [`AnyReaction`]: a reaction with its type erased.

use std::marker::PhantomData;
use std::sync::Arc;

use super::reaction::{Reaction, Since, Then};
use super::record::ReactionId;
use crate::aggregates::{Aggregate, AggregateType, AnyState, Loaded};
use crate::events::{DecodeError, Recorded, Ref, Stored};

/// A reaction of any type.
pub(crate) trait AnyReaction: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn since(&self) -> Since;
    /// The type of the aggregates that it reacts to.
    fn on(&self) -> AggregateType;
    /// What follows an event; `state` is the aggregate after it.
    fn react(&self, stored: &Stored, state: &AnyState) -> Result<Then, DecodeError>;

    /// The id of its record.
    fn id(&self) -> ReactionId {
        ReactionId::new(self.name())
    }

    /// Its record, and the actor of its commands.
    fn actor(&self) -> Ref {
        crate::events::Id::reference(&self.id())
    }
}

/// Erases the type of a reaction.
pub(crate) fn erased<R: Reaction>() -> Arc<dyn AnyReaction> {
    Arc::new(Typed::<R>(PhantomData))
}

struct Typed<R>(PhantomData<fn() -> R>);

impl<R: Reaction> AnyReaction for Typed<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn version(&self) -> u32 {
        R::VERSION
    }

    fn since(&self) -> Since {
        R::SINCE
    }

    fn on(&self) -> AggregateType {
        AggregateType::for_aggregate::<R::On>()
    }

    fn react(&self, stored: &Stored, state: &AnyState) -> Result<Then, DecodeError> {
        let event = Recorded::<<R::On as Aggregate>::Event>::from_stored(stored)?;
        // Never `None`: the state is of the type that `on` says.
        Ok(state.downcast_ref::<Loaded<R::On>>().map_or_else(Then::nothing, |state| R::react(&event, state)))
    }
}
