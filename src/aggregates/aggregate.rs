//! The [`Aggregate`] trait and [`Loaded`].

use std::fmt;
use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::events::{Event, Id};

/// A thing that decisions are made about: its state is folded from its events, and holds only what decisions need.
/// Its JSON must hold all of it: a snapshot is that JSON, so a `#[serde(skip)]` field would come back empty.
///
/// ```
/// use annals::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct DoorId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "door", on = Door)]
/// pub enum DoorEvent {
///     #[event(update, "{actor} opened {door}")]
///     Opened,
/// }
///
/// #[derive(Default, Clone, Serialize, Deserialize)]
/// pub struct Door { open: bool }
///
/// impl Aggregate for Door {
///     const TYPE: &'static str = "door";
///     type Id = DoorId;
///     type Event = DoorEvent;
///     type Error = std::convert::Infallible;
///     fn apply(&mut self, event: &DoorEvent) {
///         match event { DoorEvent::Opened => self.open = true }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "decides nothing",
    note = "write `impl Aggregate for {Self}`, with its TYPE, Id, Event, Error and `apply`"
)]
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the log, the kind of its ids and the root of its topics: `project`.
    const TYPE: &'static str;

    /// Raise it when a change to the state's meaning makes older snapshots wrong although they still parse.
    /// (A changed set of fields, and a changed set of events, is noticed without it.)
    const SHAPE: u32 = 1;

    /// What its ids are: their kind is [`Aggregate::TYPE`].
    type Id: Id;

    /// What can happen to it.
    type Event: Event;

    /// Why a command may be refused.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes in what happened. It never fails and never decides.
    fn apply(&mut self, event: &Self::Event);
}

/// An aggregate as a command sees it: its state, its id, and how many events it has. Dereferences to the state.
#[derive(Clone)]
pub struct Loaded<A: Aggregate> {
    id: A::Id,
    sequence: u64,
    state: A,
}

impl<A: Aggregate> Loaded<A> {
    pub(crate) fn new(id: A::Id, sequence: u64, state: A) -> Self {
        Self { id, sequence, state }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> &A::Id {
        &self.id
    }

    /// How many events it has: 0 when it has never been written.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether anything ever happened to it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.sequence > 0
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    pub(crate) fn take_in(&mut self, event: &A::Event) {
        self.state.apply(event);
        self.sequence += 1;
    }
}

impl<A: Aggregate> Deref for Loaded<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: Aggregate + fmt::Debug> fmt::Debug for Loaded<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("id", &self.id)
            .field("sequence", &self.sequence)
            .field("state", &self.state)
            .finish()
    }
}
