//! The events: the four verbs.

use std::collections::BTreeMap;

use annals::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Object;

/// A field before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// The value before.
    #[serde(default)]
    pub from: Value,
    /// The value after.
    #[serde(default)]
    pub to: Value,
}

/// Somebody did something with a thing of another program.
#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "data", topic = "data", on = Object)]
pub enum DataEvent {
    /// Looked at it.
    #[event(view, topic = "data/view", "{actor} viewed {target}")]
    Viewed {
        /// The thing.
        #[event(target)]
        target: Ref,
        /// Who said so: the broker's or the server's word for the producer.
        producer: String,
    },
    /// Made it.
    #[event(create, topic = "data/create", "{actor} created {target}")]
    Created {
        /// The thing.
        #[event(target)]
        target: Ref,
        /// Its fields.
        changes: BTreeMap<String, FieldChange>,
        /// Who said so.
        producer: String,
    },
    /// Changed it.
    #[event(update, topic = "data/update", "{actor} changed {fields} of {target}")]
    Updated {
        /// The thing.
        #[event(target)]
        target: Ref,
        /// The names of the changed fields.
        fields: String,
        /// Its changed fields.
        changes: BTreeMap<String, FieldChange>,
        /// Who said so.
        producer: String,
    },
    /// Deleted it.
    #[event(delete, topic = "data/delete", "{actor} deleted {target}")]
    Deleted {
        /// The thing.
        #[event(target)]
        target: Ref,
        /// Who said so.
        producer: String,
    },
}
