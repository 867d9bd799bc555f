//! [`EventMetadata`]: the metadata of the first event of a command, and of the others.

use std::sync::Arc;

use uuid::Uuid;

/// The metadata of a command's events, as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventMetadata {
    /// That of the first event, which also says what the command was decided on.
    pub(crate) first: Arc<str>,
    /// That of the others.
    pub(crate) others: Arc<str>,
    /// That of each event, if each has a salt of its own.
    salted: Arc<[Box<str>]>,
}

impl EventMetadata {
    /// The same metadata for all events.
    pub(crate) fn same(metadata: Arc<str>) -> Self {
        Self::new(metadata.clone(), metadata)
    }

    /// That of the first event, and that of the others.
    pub(crate) fn new(first: Arc<str>, others: Arc<str>) -> Self {
        Self { first, others, salted: Arc::default() }
    }

    /// Adds a salt of its own to the metadata of each of so many events: the field `salt`, 16 bytes of a random UUID (122 random bits) as
    /// 32 hexadecimal digits. The digest of an event covers it, so that nobody who knows the digest can try out what the payload is.
    pub(crate) fn salted(self, events: usize) -> Self {
        let salt = |index| {
            let text = self.of(index);
            let object = text.strip_suffix('}').unwrap_or(text);
            format!("{object},\"salt\":\"{}\"}}", Uuid::new_v4().simple()).into_boxed_str()
        };
        let salted = (0..events).map(salt).collect();
        Self { salted, ..self }
    }

    /// That of the event with this index.
    pub(super) fn of(&self, index: usize) -> &str {
        match self.salted.get(index) {
            Some(salted) => salted,
            None if index == 0 => &self.first,
            None => &self.others,
        }
    }
}
