//! [`CommandAccess`]: access control for commands; [`AccessLoads`]: the aggregates that it decides on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use super::member::Member;
use super::{Context, Engine};
use crate::aggregates::{Aggregate, AggregateType, AnyState, LoadError, Loaded};
use crate::events::{Id, Ref};

/// The end of the reason of a denial that may be another answer later: access control could not decide.
pub(crate) const TRY_AGAIN: &str = "try again";

/// Decides whether a command may be executed, and records refusals.
pub(crate) trait CommandAccess: Send + Sync {
    /// Returns the grants that allow the command, or the reason if it must not be executed. The commit names the aggregates that are loaded through
    /// `loads`. It is called again when one of them has changed in the meantime. It records nothing: a denial counts only
    /// if the log does not have the command's id.
    fn check<'a>(
        &'a self,
        context: &'a Context,
        command: &'static str,
        on: &'a [Ref],
        loads: &'a AccessLoads<'a>,
    ) -> BoxFuture<'a, Result<Vec<Uuid>, String>>;

    /// What to await before a command of this name, which was committed with events, is answered.
    fn committed(&self, command: &str) -> Option<BoxFuture<'_, ()>> {
        let _ = command;
        None
    }

    /// The log is not the one that this program has appended to. Called before anything is loaded from it.
    fn diverged(&self) {}

    /// Records that the handler refused the command, or that [`check`](Self::check) denied it. Never blocks.
    fn record_refusal(&self, context: &Context, command: &'static str, on: &[Ref], reason: &str, denied: bool);
}

/// Loads aggregates for a decision of access control about a command, such as the roles of its actor.
///
/// The commit names each of them with the sequence that was loaded. So the store refuses the commit if a role was taken away
/// in the meantime, and access control is asked again: no command has a position after the event that took its right.
pub(crate) struct AccessLoads<'a> {
    engine: &'a Engine,
    /// Whether states that are still on their way to the log are left out.
    durable: bool,
    time: Timestamp,
    decision: Mutex<Decision>,
}

/// What a decision of access control depends on.
#[derive(Default)]
pub(super) struct Decision {
    /// The aggregates that were loaded.
    pub(super) loaded: Vec<Member>,
    /// The time until which it holds.
    pub(super) valid_until: Option<Timestamp>,
}

impl<'a> AccessLoads<'a> {
    pub(super) fn new(engine: &'a Engine, durable: bool) -> Self {
        Self { engine, durable, time: engine.time.now(), decision: Mutex::default() }
    }

    /// The time by which rights end: the same each time.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// The decision holds only before this time.
    pub(crate) fn valid_until(&self, time: Timestamp) {
        let mut decision = self.lock();
        decision.valid_until = Some(decision.valid_until.map_or(time, |earlier| earlier.min(time)));
    }

    /// Loads an aggregate: the same state each time.
    pub(crate) async fn load_shared<A: Aggregate>(&self, id: &A::Id) -> Result<Arc<Loaded<A>>, LoadError> {
        let aggregate = Ref::new(A::TYPE, &id.text())?;
        let state = match self.known(&aggregate) {
            Some(state) => state,
            None => {
                let kind = AggregateType::for_aggregate::<A>();
                self.add(self.engine.load_for_access(kind, &aggregate, self.durable).await?)
            }
        };
        Arc::downcast(state).map_err(|_| LoadError::OtherType(aggregate))
    }

    pub(super) fn into_decision(self) -> Decision {
        self.decision.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, aggregate: &Ref) -> Option<AnyState> {
        state_of(&self.lock().loaded, aggregate)
    }

    /// Adds an aggregate, unless another future of the same decision was faster. Returns its state.
    fn add(&self, member: Member) -> AnyState {
        let mut decision = self.lock();
        state_of(&decision.loaded, &member.aggregate).unwrap_or_else(|| {
            let state = member.before.clone();
            decision.loaded.push(member);
            state
        })
    }

    fn lock(&self) -> MutexGuard<'_, Decision> {
        self.decision.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state_of(members: &[Member], aggregate: &Ref) -> Option<AnyState> {
    members.iter().find(|member| member.aggregate == *aggregate).map(|member| member.before.clone())
}
