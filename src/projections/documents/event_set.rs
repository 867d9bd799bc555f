//! [`EventSet`]: the events that a document view is made of, one enum or several.

use super::{DocumentView, On};
use crate::events::{DecodeError, Event, Recorded, Stored};

/// One event enum, or a tuple of two to four, for each of which the view `V` implements [`On`].
#[diagnostic::on_unimplemented(
    message = "`{V}` cannot be made of `{Self}`",
    label = "not events of the view `{V}`",
    note = "`type Events` is an event enum (`#[derive(Event)]`) or a tuple of up to four; the view needs `impl On<…>` \
            for each"
)]
pub trait EventSet<V: DocumentView> {
    /// A decoded event of the set.
    type Decoded: Send + Sync;

    /// The names of the event types in the log, old names included.
    fn names() -> Vec<String>;

    /// Decodes a stored event; `None` if it is not in the set.
    ///
    /// # Errors
    /// When an event of the set cannot be decoded.
    fn decode(stored: &Stored) -> Result<Option<Self::Decoded>, DecodeError>;

    /// The keys that the event touches.
    fn keys(event: &Self::Decoded) -> Vec<V::Key>;

    /// Updates one document.
    fn apply(document: &mut Option<V>, key: &V::Key, event: &Self::Decoded);
}

impl<V: On<E>, E: Event> EventSet<V> for E {
    type Decoded = Recorded<E>;

    fn names() -> Vec<String> {
        let names = |declaration: &'static crate::events::Declaration| {
            std::iter::once(declaration.event_type).chain(declaration.was.iter().copied())
        };
        E::declarations().into_iter().flat_map(names).map(str::to_owned).collect()
    }

    fn decode(stored: &Stored) -> Result<Option<Self::Decoded>, DecodeError> {
        match E::lookup(&stored.event_type) {
            Some(_) => Recorded::from_stored(stored).map(Some),
            None => Ok(None),
        }
    }

    fn keys(event: &Self::Decoded) -> Vec<V::Key> {
        <V as On<E>>::keys(event)
    }

    fn apply(document: &mut Option<V>, key: &V::Key, event: &Self::Decoded) {
        <V as On<E>>::apply(document, key, event);
    }
}

/// An event of one of several enums.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum OneOf<A, B, C = std::convert::Infallible, D = std::convert::Infallible> {
    First(A),
    Second(B),
    Third(C),
    Fourth(D),
}

macro_rules! event_sets {
    ($(($($event:ident $place:ident),*) or ($($never:ident),*))*) => {$(
        impl<V, $($event),*> EventSet<V> for ($($event,)*)
        where
            V: DocumentView $(+ On<$event>)*,
            $($event: Event,)*
        {
            type Decoded = OneOf<$(Recorded<$event>),*>;

            fn names() -> Vec<String> {
                let mut names = Vec::new();
                $(names.extend(<$event as EventSet<V>>::names());)*
                names
            }

            fn decode(stored: &Stored) -> Result<Option<Self::Decoded>, DecodeError> {
                $(
                    if let Some(event) = <$event as EventSet<V>>::decode(stored)? {
                        return Ok(Some(OneOf::$place(event)));
                    }
                )*
                Ok(None)
            }

            fn keys(event: &Self::Decoded) -> Vec<V::Key> {
                match event {
                    $(OneOf::$place(event) => <V as On<$event>>::keys(event),)*
                    $(OneOf::$never(never) => match *never {},)*
                }
            }

            fn apply(document: &mut Option<V>, key: &V::Key, event: &Self::Decoded) {
                match event {
                    $(OneOf::$place(event) => <V as On<$event>>::apply(document, key, event),)*
                    $(OneOf::$never(never) => match *never {},)*
                }
            }
        }
    )*};
}

event_sets! {
    (A First, B Second) or (Third, Fourth)
    (A First, B Second, C Third) or (Fourth)
    (A First, B Second, C Third, D Fourth) or ()
}
