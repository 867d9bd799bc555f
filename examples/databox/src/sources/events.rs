//! The events of stores and data sources.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Keeps, Source, SourceId, Store, StoreId};

/// An event of a store.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "store", topic = "databox/catalogue", on = Store)]
pub enum StoreEvent {
    /// An app or driver opened it.
    #[event(create, "{actor} opened {store}")]
    Opened,
}

/// An event of a data source.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "source", topic = "databox/catalogue", on = Source)]
pub enum SourceEvent {
    /// It is new in the catalogue.
    #[event(create, "{actor} registered {source} in {store}: {what}")]
    Registered {
        /// Its store.
        #[event(target)]
        store: StoreId,
        /// Whether it keeps one value or a series.
        keeps: Keeps,
        /// A short description of the data.
        what: String,
        /// The unit of its values.
        unit: String,
    },
    /// An event of its values.
    #[event(transparent)]
    Value(ValueEvent),
}

/// An event of the values of a data source.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "source_value", topic = "databox/value", on = Source)]
pub enum ValueEvent {
    /// A value was written.
    #[event(update, "{actor} wrote {value} to {source}")]
    Written {
        /// The value.
        value: f64,
        /// The sources that it was made of.
        #[event(target, source)]
        from: Vec<SourceId>,
    },
}
