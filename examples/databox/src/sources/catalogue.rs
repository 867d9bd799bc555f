//! The view `Catalogue`: which data sources there are. It has no values.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Keeps, SourceEvent, SourceId, StoreId};

/// A data source, without its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Its store.
    pub store: StoreId,
    /// Whether it keeps one value or a series.
    pub keeps: Keeps,
    /// A short description of the data.
    pub what: String,
    /// The unit of its values.
    pub unit: String,
    /// The app or driver that registered it.
    pub by: Ref,
}

impl DocumentView for Catalogue {
    const NAME: &'static str = "catalogue";
    const FIELDS: &'static [Field<Self>] = &[Field::text("store", |source| Some(source.store.text().into_owned()))];
    type Key = SourceId;
    type Events = SourceEvent;
}

impl On<SourceEvent> for Catalogue {
    fn keys(event: &Recorded<SourceEvent>) -> Vec<SourceId> {
        match event.event {
            SourceEvent::Registered { .. } => event.id().into_iter().collect(),
            SourceEvent::Value(_) => Vec::new(),
        }
    }

    fn apply(document: &mut Option<Self>, _: &SourceId, event: &Recorded<SourceEvent>) {
        if let SourceEvent::Registered { store, keeps, what, unit } = event.event.clone() {
            *document = Some(Self { store, keeps, what, unit, by: event.metadata.actor.clone() });
        }
    }
}
