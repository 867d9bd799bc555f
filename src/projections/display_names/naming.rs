//! [`Names`]: the events that give things display names.

use std::collections::BTreeMap;

use crate::events::{DecodeError, Event, Recorded, Ref, Stored};

/// Events that give things display names.
///
/// ```
/// use annals::prelude::*;
/// use annals::projections::display_names::Names;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "user")]
/// pub enum UserEvent {
///     #[event(create, "{actor} registered as {name}")]
///     Registered { name: String },
///     #[event(update, "{actor} is called {name.to} now")]
///     Renamed { name: Change<String> },
///     #[event(delete, "{actor} left")]
///     Left,
/// }
///
/// impl Names for UserEvent {
///     fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
///         match &event.event {
///             UserEvent::Registered { name } | UserEvent::Renamed { name: Change { to: name, .. } } => {
///                 vec![(event.aggregate.clone(), name.clone())]
///             }
///             UserEvent::Left => vec![],
///         }
///     }
/// }
/// // App::new("…").names::<UserEvent>()
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `Names`",
    label = "gives no display names",
    note = "write `impl Names for {Self} {{ fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {{ … }} }}`"
)]
pub trait Names: Event {
    /// The version of [`names`](Self::names): raise it when that returns other names. The projection is then rebuilt.
    const VERSION: u64 = 1;

    /// The things that the event names, with their new display names. Must be a pure function.
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)>;
}

type Read = fn(&Stored) -> Result<Vec<(Ref, String)>, DecodeError>;

/// All events of an application that give display names.
#[derive(Clone, Debug, Default)]
pub struct Namings(Vec<Naming>);

#[derive(Clone, Debug)]
struct Naming {
    event_types: Vec<&'static str>,
    version: u64,
    read: Read,
}

impl Namings {
    /// Adds an event enum; once is enough.
    pub fn add<E: Names>(&mut self) {
        let names = E::declarations().into_iter();
        let event_types: Vec<&'static str> = names
            .flat_map(|declaration| std::iter::once(declaration.event_type).chain(declaration.was.iter().copied()))
            .collect();
        if !self.0.iter().any(|naming| naming.event_types == event_types) {
            let read = |stored: &Stored| Ok(E::names(&Recorded::from_stored(stored)?));
            self.0.push(Naming { event_types, version: E::VERSION, read });
        }
    }

    /// Whether no event gives a display name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All event types in the log, under current and former names.
    pub fn event_types(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|naming| naming.event_types.iter().copied())
    }

    /// The version of the names of each event type in the log.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.0.iter().flat_map(|naming| {
            naming.event_types.iter().map(|event_type| ((*event_type).to_owned(), naming.version.to_string()))
        });
        versions.collect()
    }

    /// The inputs of the projection's version.
    pub(super) fn fingerprint(&self) -> Vec<String> {
        let parts = self.0.iter().map(|naming| format!("{} {}", naming.version, naming.event_types.join(" ")));
        let mut parts: Vec<String> = parts.collect();
        parts.sort_unstable();
        parts
    }

    /// The display names that a stored event gives.
    pub(super) fn names(&self, stored: &Stored) -> Result<Vec<(Ref, String)>, DecodeError> {
        let event_type = stored.event_type.as_str();
        match self.0.iter().find(|naming| naming.event_types.contains(&event_type)) {
            Some(naming) => (naming.read)(stored),
            None => Ok(Vec::new()),
        }
    }
}
