//! [`EventMetadata`]: the metadata of the first event of a command, and of the others.

use std::sync::Arc;

/// The metadata of a command's events, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventMetadata {
    /// That of the first event, which also says what the command was decided on.
    pub(crate) first: Arc<str>,
    /// That of the others.
    pub(crate) others: Arc<str>,
}

impl EventMetadata {
    /// The same metadata for all events.
    pub(crate) fn same(metadata: Arc<str>) -> Self {
        Self { first: metadata.clone(), others: metadata }
    }

    /// That of the event with this index.
    pub(super) fn of(&self, index: usize) -> &str {
        if index == 0 { &self.first } else { &self.others }
    }
}
