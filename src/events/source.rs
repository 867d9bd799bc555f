//! [`Source`], what a field that is a source names; [`SourceRole`].

use super::Ref;

/// What a source is to what came to be, beside that it was derived from it: `#[event(source = "specialization")]`. Provenance states it
/// of the version that the event makes.
///
/// ```
/// use annals::events::SourceRole;
/// use annals::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// # pub struct OfferId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "app")]
/// pub enum AppEvent {
///     #[event(create, "{actor} installed {of}")]
///     Installed {
///         #[event(source = "specialization")]
///         of: OfferId,
///     },
/// }
///
/// let installed = AppEvent::Installed { of: OfferId::new("7") };
/// assert_eq!(installed.sources(), ["offer:7".parse()?]);
/// assert_eq!(installed.source_roles(), [(SourceRole::Specialization, "offer:7".parse()?)]);
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceRole {
    /// What came to be is a special form of the source: an installed application, of the one that a shop offers.
    Specialization,
    /// Both are forms of the same thing: a translation.
    Alternate,
    /// What came to be is a collection, and the source is a member of it.
    Member,
}

/// A type for fields marked `#[event(source)]`: an [`Id`](super::Id), a [`Ref`], or an `Option` or `Vec` of them.
///
/// ```
/// use annals::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// pub struct DatasetId(String);
///
/// #[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
/// #[event(name = "report")]
/// pub enum ReportEvent {
///     #[event(create, "{actor} wrote the report from {from}")]
///     Written {
///         #[event(source)]
///         from: Vec<DatasetId>,
///     },
/// }
///
/// let event = ReportEvent::Written { from: vec![DatasetId::new("2026/05")] };
/// assert_eq!(event.sources(), ["dataset:2026/05".parse()?]);
/// # Ok::<(), annals::events::InvalidRef>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a source",
    label = "not an id",
    note = "the type of a field marked `#[event(source)]` is an id (`#[derive(Id)]`), a `Ref`, or an `Option` or `Vec` of them"
)]
pub trait Source {
    /// Adds its references.
    fn add_to(&self, sources: &mut Vec<Ref>);
}

impl Source for Ref {
    fn add_to(&self, sources: &mut Vec<Ref>) {
        sources.push(self.clone());
    }
}

impl<T: Source> Source for Option<T> {
    fn add_to(&self, sources: &mut Vec<Ref>) {
        self.iter().for_each(|source| source.add_to(sources));
    }
}

impl<T: Source> Source for Vec<T> {
    fn add_to(&self, sources: &mut Vec<Ref>) {
        self.iter().for_each(|source| source.add_to(sources));
    }
}
