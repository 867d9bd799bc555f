//! [`IntoRef`] and [`IntoId`]: what an actor and an id are created from.

use std::borrow::Cow;

use super::Ref;

/// A value that refers to an actor or a principal: a [`Ref`] or a typed id, or a borrowed one.
///
/// A text is none, since it may not be a reference: parse it, and handle the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reference to an actor",
    label = "expected a `Ref`, or an id like `UserId`",
    note = "parse a text: `\"user:alice\".parse::<Ref>()?`, or use an id: `UserId::new(\"alice\")`"
)]
pub trait IntoRef {
    /// Returns the reference.
    fn into_ref(self) -> Ref;
}

impl IntoRef for Ref {
    fn into_ref(self) -> Ref {
        self
    }
}

impl IntoRef for &Ref {
    fn into_ref(self) -> Ref {
        self.clone()
    }
}

/// A value that an id can be created from: the `T` that the id holds, and for a `String` each kind of text.
#[diagnostic::on_unimplemented(
    message = "an id that holds a `{T}` cannot be created from `{Self}`",
    label = "expected `{T}`",
    note = "an id that holds a `String` is created from a text: `ProjectId::new(\"7\")`, or `ProjectId::new(7.to_string())`"
)]
pub trait IntoId<T> {
    /// Returns what the id holds.
    fn into_id(self) -> T;
}

impl<T> IntoId<T> for T {
    fn into_id(self) -> T {
        self
    }
}

macro_rules! texts {
    ($($text:ty),+) => {
        $(
            impl IntoId<String> for $text {
                fn into_id(self) -> String {
                    self.into()
                }
            }
        )+
    };
}

texts!(&str, &String, &mut str, Box<str>, Cow<'_, str>, char);
