//! The aggregate `Source`: a data source.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{SourceEvent, StoreId};

/// The id of a data source: `store/name`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(String);

impl SourceId {
    /// Whether it belongs to this store.
    pub(super) fn is_in(&self, store: &StoreId) -> bool {
        self.text().split_once('/').is_some_and(|(of, name)| of == store.text() && !name.trim().is_empty())
    }
}

/// What a source keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keeps {
    /// Its latest value.
    Value,
    /// A time series.
    Series,
}

/// A data source: how it was registered.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Source {
    registered: Option<SourceEvent>,
}

impl Source {
    /// The event by which it is in the catalogue.
    pub(super) fn registered(&self) -> Option<&SourceEvent> {
        self.registered.as_ref()
    }
}

/// Why a command on a source is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It is in the catalogue, as something else.
    #[error("{0} is registered already, as something else")]
    Exists(SourceId),
    /// It is not in the catalogue.
    #[error("{0} is not registered: register it first")]
    Missing(SourceId),
    /// Its store is not open.
    #[error("{0} is not open: open it first")]
    NoStore(StoreId),
    /// Its name does not begin with that of the store.
    #[error("{source_id} is not in {store}: the id of a source is the store, a slash and a name")]
    OtherStore {
        /// The source.
        source_id: SourceId,
        /// The store.
        store: StoreId,
    },
}

impl Aggregate for Source {
    const TYPE: &'static str = "source";
    type Id = SourceId;
    type Event = SourceEvent;
    type Error = SourceError;

    fn apply(&mut self, event: &SourceEvent) {
        if let SourceEvent::Registered { .. } = event {
            self.registered = Some(event.clone());
        }
    }
}
