//! [`Names`]: the events that name things.

use std::collections::BTreeMap;

use crate::events::{DecodeError, Event, Recorded, Ref, Stored};

/// Events of which some say what a thing is called.
///
/// ```
/// use annals::prelude::*;
/// use annals::projections::names::Names;
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
    message = "`{Self}` does not say what it names",
    label = "names nothing",
    note = "write `impl Names for {Self} {{ fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {{ … }} }}`"
)]
pub trait Names: Event {
    /// Raise it when [`names`](Self::names) names other things, or otherwise: names are then collected anew.
    const VERSION: u64 = 1;

    /// The things that the event names, and what they are called from then on. An event that only uses a name names
    /// nothing. It must be pure.
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)>;
}

type Read = fn(&Stored) -> Result<Vec<(Ref, String)>, DecodeError>;

/// The events of an application that name things.
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

    /// Whether no event names anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names that the events have in the log.
    pub fn event_types(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|naming| naming.event_types.iter().copied())
    }

    /// The version of what each event names, by its names in the log.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let versions = self.0.iter().flat_map(|naming| {
            naming.event_types.iter().map(|event_type| ((*event_type).to_owned(), naming.version.to_string()))
        });
        versions.collect()
    }

    /// What must be the same for the same names to come out, in words.
    pub(super) fn fingerprint(&self) -> Vec<String> {
        let parts = self.0.iter().map(|naming| format!("{} {}", naming.version, naming.event_types.join(" ")));
        let mut parts: Vec<String> = parts.collect();
        parts.sort_unstable();
        parts
    }

    /// What a stored event names.
    pub(super) fn names(&self, stored: &Stored) -> Result<Vec<(Ref, String)>, DecodeError> {
        let event_type = stored.event_type.as_str();
        match self.0.iter().find(|naming| naming.event_types.contains(&event_type)) {
            Some(naming) => (naming.read)(stored),
            None => Ok(Vec::new()),
        }
    }
}
