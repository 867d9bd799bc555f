//! Display names: the name of a thing for people (`user:42` is "Ada Lovelace"), with its history.
//!
//! An application implements [`Names`] for the events that name things. A deleted thing keeps its last name.
//!
//! ## Layout
//! - `naming`: [`Names`], the events that give names
//! - `projection`: [`DisplayNames`], the projection
//! - `query`: [`NameQuery`], looks up names as of an event, or the current ones

mod naming;
mod projection;
mod query;
#[cfg(test)]
mod tests;

pub use naming::{Names, Namings};
pub use projection::DisplayNames;
pub use query::{FoundNames, NameQuery, NamesAsOf};
