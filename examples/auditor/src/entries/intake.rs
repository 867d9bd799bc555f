//! The messages of producers: CloudEvents of the types `data.viewed`, `data.created`, `data.updated` and `data.deleted`.

use std::collections::BTreeMap;

use annals::intakes::Intake;
use annals::prelude::*;
use serde::{Deserialize, Serialize};

use super::{FieldChange, Record, Verb};

/// The data of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Who did it: `user:ann`.
    pub actor: Ref,
    /// The thing that it was done with: `document:7`.
    pub target: Ref,
    /// The fields that changed, by their names.
    #[serde(default)]
    pub changes: BTreeMap<String, FieldChange>,
}

/// The intake by which producers reach the auditor: over HTTP, and from a broker once it has one.
pub fn intake() -> Intake {
    Intake::new("entries", |event| {
        let Entry { actor, target, changes } = event.data()?;
        let verb = match event.event_type() {
            "data.viewed" => Verb::View,
            "data.created" => Verb::Create,
            "data.updated" => Verb::Update,
            "data.deleted" => Verb::Delete,
            other => return Err(format!("the auditor does not know the type `{other}`").into()),
        };
        let producer = event.publisher().unwrap_or(event.source());
        Ok(event.command(Record::new(target, verb, changes, producer), actor))
    })
    .over_http()
}
