//! The aggregate `Object`: a thing that entries are about.

use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::DataEvent;

/// The id of a thing: its reference as the producer writes it, `document:7`.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[id(kind = "object")]
pub struct ObjectId(String);

/// A thing. An audit service keeps what producers say, so that no entry depends on earlier ones.
#[derive(Default, Clone, Serialize, Deserialize)]
pub struct Object {}

/// Why an entry is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Looking at something and deleting it change no fields.
    #[error("a view and a delete have no changed fields")]
    Changes,
    /// The names of fields are shown in sentences.
    #[error("the name of a field has 1 to 100 characters, and none of them is a control character")]
    FieldName,
}

impl Aggregate for Object {
    const TYPE: &'static str = "object";
    type Id = ObjectId;
    type Event = DataEvent;
    type Error = Refused;

    fn apply(&mut self, _: &DataEvent) {}
}
