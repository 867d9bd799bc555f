//! Stores, their data sources, and the values in them.
//!
//! ## Layout
//! - `events`: the events
//! - `store`, `source`: the aggregates
//! - `open_store`, `register_source`, `write_value`: one command each, of apps and drivers
//! - `catalogue`: a view: which sources there are
//! - `values`: a view: what is in them

mod catalogue;
mod events;
mod open_store;
mod register_source;
mod source;
mod store;
mod values;
mod write_value;

pub use catalogue::Catalogue;
pub use events::{SourceEvent, StoreEvent, ValueEvent};
pub use open_store::OpenStore;
pub use register_source::RegisterSource;
pub use source::{Keeps, Source, SourceError, SourceId};
pub use store::{Store, StoreError, StoreId};
pub use values::{Reading, Values};
pub use write_value::WriteValue;
