//! [`Seal`]: what a field marked `#[event(personal)]` may be.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ERASED, Opened, PERSONAL, Personal};
use crate::events::{Change, Ref, Target};

/// A type for fields marked `#[event(personal)]`: [`Personal`], or an `Option`, `Vec` or [`Change`] of it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be personal",
    label = "not a `Personal`",
    note = "the type of a field marked `#[event(personal)]` is `Personal<T>`, or an `Option`, `Vec` or `Change` of it"
)]
pub trait Seal {
    /// Seals the new values in it under the key of the subject.
    ///
    /// # Errors
    /// When the key is not at hand, or a value cannot be written as JSON.
    #[doc(hidden)]
    fn seal(&mut self, of: &Ref, event_type: &'static str, field: &'static str) -> Result<(), serde_json::Error>;

    /// The value for a sentence: opened, or a word that says why not.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    #[doc(hidden)]
    fn fact(&self) -> Result<Value, serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned + Clone> Seal for Personal<T> {
    fn seal(&mut self, of: &Ref, event_type: &'static str, field: &'static str) -> Result<(), serde_json::Error> {
        Self::seal(self, of, event_type, field)
    }

    fn fact(&self) -> Result<Value, serde_json::Error> {
        match self.open() {
            Opened::Known(value) => serde_json::to_value(value),
            Opened::Erased => Ok(ERASED.into()),
            Opened::Sealed => Ok(PERSONAL.into()),
        }
    }
}

impl<T: Seal> Seal for Option<T> {
    fn seal(&mut self, of: &Ref, event_type: &'static str, field: &'static str) -> Result<(), serde_json::Error> {
        self.iter_mut().try_for_each(|value| value.seal(of, event_type, field))
    }

    fn fact(&self) -> Result<Value, serde_json::Error> {
        self.as_ref().map_or(Ok(Value::Null), Seal::fact)
    }
}

impl<T: Seal> Seal for Vec<T> {
    fn seal(&mut self, of: &Ref, event_type: &'static str, field: &'static str) -> Result<(), serde_json::Error> {
        // All of them: the scope then knows each key that is missing.
        self.iter_mut().map(|value| value.seal(of, event_type, field)).fold(Ok(()), Result::and)
    }

    fn fact(&self) -> Result<Value, serde_json::Error> {
        self.iter().map(Seal::fact).collect()
    }
}

impl<T: Seal> Seal for Change<T> {
    fn seal(&mut self, of: &Ref, event_type: &'static str, field: &'static str) -> Result<(), serde_json::Error> {
        let from = self.from.seal(of, event_type, field);
        from.and(self.to.seal(of, event_type, field))
    }

    fn fact(&self) -> Result<Value, serde_json::Error> {
        Ok(json!({ "from": self.from.fact()?, "to": self.to.fact()? }))
    }
}

/// The subject that a field names: `derive(Event)` calls it for `#[event(personal = field)]`.
#[doc(hidden)]
pub fn subject_in<T: Target>(named: &T) -> Option<Ref> {
    let mut found = Vec::new();
    named.add_to(&mut found);
    // Two subjects have two keys.
    if found.len() == 1 { found.pop() } else { None }
}
