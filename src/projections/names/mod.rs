//! Display names: what people call a thing (`user:42` is "Ada Lovelace"), with its history.
//!
//! An application says which of its events name things, by [`Names`]; the rest follows from the log. A thing that is
//! gone keeps its last name.
//!
//! ## Layout
//! - `naming`: [`Names`], and the namings of an application
//! - `projection`: [`DisplayNames`], what is kept
//! - `query`: [`NameQuery`], names as they were known then, or as they are known now

mod naming;
mod projection;
mod query;
#[cfg(test)]
mod tests;

pub use naming::{Names, Namings};
pub use projection::DisplayNames;
pub use query::{AsKnown, Found, NameQuery};
