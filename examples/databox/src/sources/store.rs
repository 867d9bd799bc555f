//! The aggregate `Store`: a place for the data sources of one app or driver.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::StoreEvent;

/// The id of a store.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(String);

/// A store. It exists or not.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Store {}

/// Why a command on a store is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The name is blank, or has a slash.
    #[error("a store needs a name, without a slash")]
    Name,
}

impl Aggregate for Store {
    const TYPE: &'static str = "store";
    type Id = StoreId;
    type Event = StoreEvent;
    type Error = StoreError;

    fn apply(&mut self, _: &StoreEvent) {}
}
