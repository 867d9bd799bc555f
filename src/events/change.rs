//! [`Change`]: the previous and the next value of a field.

use serde::{Deserialize, Serialize};

/// A field that changed: its value before and after, both typed.
///
/// Audit rows list the `Change` fields of an event as its differences. A sentence names the parts `{roles.from}` and
/// `{roles.to}`.
///
/// ```
/// use annals::events::Change;
/// assert_eq!(Change::between(1, 2), Some(Change { from: 1, to: 2 }));
/// assert_eq!(Change::between(2, 2), None, "equal values are no change");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<T> {
    /// The value before.
    pub from: T,
    /// The value after.
    pub to: T,
}

impl<T: PartialEq> Change<T> {
    /// Returns the change from one value to another, or `None` if they are equal.
    pub fn between(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}
