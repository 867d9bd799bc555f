//! The [`Aggregate`] trait and [`Loaded`].

use std::fmt;
use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Circumstances;
use crate::events::{Event, Id};

/// A consistency boundary for decisions. Its state is folded from its events, and holds only what decisions need.
/// A snapshot is the state's JSON, which must be complete: a `#[serde(skip)]` field would come back empty.
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
    label = "no `Aggregate` implementation",
    note = "write `impl Aggregate for {Self}`, with its TYPE, Id, Event, Error and `apply`"
)]
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The aggregate type's name: in the log, as the kind of its ids, and as a topic root. `project`.
    const TYPE: &'static str;

    /// The version of the state's meaning. Raise it when older snapshots still parse but are wrong. (Changes to the set of
    /// fields or events are detected without it.)
    const SHAPE: u32 = 1;

    /// The type of its ids, whose kind is [`Aggregate::TYPE`].
    type Id: Id;

    /// The type of its events.
    type Event: Event;

    /// Why a command on it may be refused.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Applies an event to the state. It never fails and never decides.
    fn apply(&mut self, event: &Self::Event);

    /// Applies an event to the state, with its actor, principal, command id and time. Implement it in place of
    /// [`apply`](Self::apply) if a decision depends on who did something, or when. The engine calls only this method.
    ///
    /// ```
    /// # use annals::prelude::*;
    /// # use annals::aggregates::Circumstances;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    /// # pub struct DraftId(String);
    /// # #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
    /// # #[event(name = "draft", on = Draft)]
    /// # pub enum DraftEvent {
    /// #     #[event(update, "{actor} edited {draft}")]
    /// #     Edited,
    /// # }
    /// /// A draft, which its last author may not approve.
    /// #[derive(Default, Clone, Serialize, Deserialize)]
    /// struct Draft {
    ///     author: Option<Ref>,
    /// }
    ///
    /// impl Aggregate for Draft {
    /// #   const TYPE: &'static str = "draft";
    /// #   type Id = DraftId;
    /// #   type Event = DraftEvent;
    /// #   type Error = std::convert::Infallible;
    ///     fn apply(&mut self, _: &DraftEvent) {}
    ///
    ///     fn apply_with(&mut self, event: &DraftEvent, circumstances: &Circumstances<'_>) {
    ///         match event { DraftEvent::Edited => self.author = Some(circumstances.actor().clone()) }
    ///     }
    /// }
    /// ```
    fn apply_with(&mut self, event: &Self::Event, circumstances: &Circumstances<'_>) {
        let _ = circumstances;
        self.apply(event);
    }
}

/// An aggregate as a command's handler sees it: state, id and number of events. Dereferences to the state.
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

    /// The aggregate's id.
    #[must_use]
    pub fn id(&self) -> &A::Id {
        &self.id
    }

    /// The number of its events: 0 if it does not exist.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether it has any events.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.sequence > 0
    }

    /// The aggregate's state.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    pub(crate) fn apply_event(&mut self, event: &A::Event, circumstances: &Circumstances<'_>) {
        self.state.apply_with(event, circumstances);
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
