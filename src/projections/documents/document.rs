//! [`DocumentView`]: JSON documents by key, made from events.

use std::borrow::Cow;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{EventSet, Field};
use crate::BoxError;
use crate::events::{Event, Id, Recorded, Ref};

/// A view of the application: one JSON document for each key, folded from events.
///
/// A document is plain data, written and read as JSON. A view records and never decides: a command that it executes
/// is refused with [`ExecuteError::InProjection`](crate::commands::ExecuteError::InProjection). Use ordered maps
/// (`BTreeMap`), so that a rebuild gives the same bytes.
///
/// [`On`] says how each event changes the documents. [`Documents`](super::Documents) makes a projection of the
/// view.
///
/// ```
/// use annals::prelude::*;
/// use annals::projections::{DocumentView, Documents, On, Projection};
/// use annals::store::Interest;
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// # pub struct LampId(String);
/// # #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// # #[event(name = "lamp", topic = "house/lamp")]
/// # pub enum LampEvent {
/// #     #[event(update, "{actor} turned the lamp to {level} percent")]
/// #     Dimmed { level: u8 },
/// #     #[event(delete, "{actor} broke the lamp")]
/// #     Broken,
/// # }
/// /// How bright each lamp is.
/// #[derive(Serialize, Deserialize)]
/// struct Brightness { percent: u8 }
///
/// impl DocumentView for Brightness {
///     const NAME: &'static str = "brightness";
///     type Key = LampId;
///     type Events = LampEvent;
/// }
///
/// impl On<LampEvent> for Brightness {
///     fn keys(event: &Recorded<LampEvent>) -> Vec<LampId> {
///         event.id().into_iter().collect()
///     }
///
///     fn apply(document: &mut Option<Self>, _: &LampId, event: &Recorded<LampEvent>) {
///         *document = match event.event {
///             LampEvent::Dimmed { level } => Some(Brightness { percent: level }),
///             LampEvent::Broken => None,
///         };
///     }
/// }
///
/// let wanted = Documents::<Brightness>::new().interest();
/// assert_eq!(wanted, Interest::EventTypes(vec!["lamp.dimmed".into(), "lamp.broken".into()]));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a document view",
    label = "keeps no documents",
    note = "derive Serialize and Deserialize, then write `impl DocumentView for {Self} {{ const NAME: &'static str = \
            \"…\"; type Key = …; type Events = …; }}` and `impl On<…> for {Self}`"
)]
pub trait DocumentView: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The view's name, for example `roster`. Unique among the projections of an application.
    const NAME: &'static str;

    /// The view's version. Raise it when the view makes something else of the same log: it is then rebuilt.
    const VERSION: u64 = 1;

    /// Whether a document is made of the events of one aggregate, the one that its key names, and of no others. Its past is then
    /// read from these events: see [`ViewQuery::at`](super::ViewQuery::at). Without it, the past of a document is found by a scan
    /// of the log.
    ///
    /// It is checked: the view stops at an event of another aggregate under the key.
    const ONE_AGGREGATE: bool = false;

    /// The fields by which its documents can be listed, besides their keys.
    const FIELDS: &'static [Field<Self>] = &[];

    /// The type of the keys: an [`Id`], a [`Ref`], a `String`, an integer or a `Uuid`.
    type Key: ViewKey;

    /// The events that the view is made of: one event enum, or a tuple of up to four. Each needs an `impl On<…>`.
    type Events: EventSet<Self>;
}

/// How a document view processes one event enum.
///
/// Both functions must be pure: the same event gives the same keys, and the same document and event give the same
/// document.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what it makes of a `{E}`",
    label = "`{E}` is one of its `Events`",
    note = "write `impl On<{E}> for {Self} {{ fn keys(…) … fn apply(…) … }}`"
)]
pub trait On<E: Event>: DocumentView {
    /// The keys of the documents that the event touches; empty if it touches none.
    fn keys(event: &Recorded<E>) -> Vec<Self::Key>;

    /// Updates one of these documents. It is `None` if there is no document yet; leave `None` to delete it.
    fn apply(document: &mut Option<Self>, key: &Self::Key, event: &Recorded<E>);
}

/// A key of documents. Documents are listed in the order of their keys' text.
///
/// The text of an [`Id`] is the bare id: `7` of `project:7`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a document",
    label = "is not a key",
    note = "a key is an id (`#[derive(Id)]`), a `Ref`, a `String`, an integer or a `Uuid`"
)]
pub trait ViewKey: Clone + Eq + Hash + Send + Sync + 'static {
    /// The key as text.
    fn key_text(&self) -> Cow<'_, str>;

    /// The key of a text that [`ViewKey::key_text`] returned.
    ///
    /// # Errors
    /// When the text is not a key.
    fn from_key_text(text: &str) -> Result<Self, BoxError>;

    /// Reads a key as a person or another program writes it. By default that is the text of
    /// [`key_text`](ViewKey::key_text). For an [`Id`] it is the whole reference or the bare id, as in JSON: `account:9` is
    /// the account `9` everywhere.
    ///
    /// # Errors
    /// When the text is not a key.
    fn parse_key(text: &str) -> Result<Self, BoxError> {
        Self::from_key_text(text)
    }

    /// Writes the key so that [`parse_key`](ViewKey::parse_key) reads it.
    fn write_key(&self) -> Cow<'_, str> {
        self.key_text()
    }

    /// The reference to the entity that the key names, if it names one: it is written into records of reads.
    fn named(&self) -> Option<Ref> {
        None
    }
}

impl<I: Id> ViewKey for I {
    fn key_text(&self) -> Cow<'_, str> {
        self.text()
    }

    fn from_key_text(text: &str) -> Result<Self, BoxError> {
        Ok(I::from_text(text)?)
    }

    fn parse_key(text: &str) -> Result<Self, BoxError> {
        Ok(I::from_reference(text)?)
    }

    fn write_key(&self) -> Cow<'_, str> {
        let text = self.text();
        // A bare id that looks like a reference is written as a whole one.
        match I::from_reference(&text).is_ok_and(|id| id == *self) {
            true => text,
            false => Cow::Owned(self.reference().to_string()),
        }
    }

    fn named(&self) -> Option<Ref> {
        Some(self.reference())
    }
}

impl ViewKey for String {
    fn key_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }

    fn from_key_text(text: &str) -> Result<Self, BoxError> {
        Ok(text.to_owned())
    }
}

impl ViewKey for Ref {
    fn key_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn from_key_text(text: &str) -> Result<Self, BoxError> {
        Ok(text.parse()?)
    }

    fn named(&self) -> Option<Ref> {
        Some(self.clone())
    }
}

macro_rules! plain_keys {
    ($($key:ty),*) => {$(
        impl ViewKey for $key {
            fn key_text(&self) -> Cow<'_, str> {
                Cow::Owned(self.to_string())
            }

            fn from_key_text(text: &str) -> Result<Self, BoxError> {
                Ok(text.parse()?)
            }
        }
    )*};
}

plain_keys!(u32, u64, i32, i64, Uuid);
